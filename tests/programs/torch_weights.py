#!/usr/bin/env python3
"""Weights travel between mpanet and PyTorch, both ways.

  torch_weights.py PROGRAMS    PROGRAMS: the folder of mpanet-train, mpanet-convert ...

Trains a tiny network for some steps, converts it to .pth, loads that with weights_only and strictly into the network of
bench/mpanet_torch.py, and compares the embeddings of the test pictures with mpanet-eval's. Then PyTorch's own weights, saved
as a training checkpoint of a wrapped network, are evaluated by mpanet-eval, in both formats of torch.save(). A ResNet-50 goes
to .pth, into PyTorch's network, through torch.save() and back with the same bytes.
Exit code 0: done, 1: a difference, 77: there is no torch here, or no numpy.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except (ImportError, OSError):
    print("skipped: this Python has no torch")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
from mpanet_torch import MPANet  # noqa: E402

HEIGHT, WIDTH, PARTS, CLASSES = 32, 16, 2, 4
CONFIG = {"depth": "tiny", "image_size": [HEIGHT, WIDTH], "p_size": 2, "k_size": 2, "num_parts": PARTS, "num_epoch": 3,
          "eval_interval": 0, "precision": "f32", "data": {"threads": 1}}
# mpanet-eval computes in double and stores float32.
TOLERANCE = 1e-6


def run(programs, name, *arguments):
    done = subprocess.run([os.path.join(programs, name), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name} {' '.join(arguments)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout + done.stderr


def pictures(programs, data, paths, folder):
    """(N, 3, H, W) in double, as training and evaluation see them."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = []
    for path in paths:
        out = os.path.join(folder, "picture.npy")
        run(programs, "mpanet-data", "preprocess", os.path.join(data, path), "--height", str(HEIGHT), "--width", str(WIDTH),
            "--out", out)
        images.append(((np.load(out).astype(np.float32) / np.float32(255) - mean.astype(np.float32)) / std.astype(np.float32)).astype(np.float64))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def compare(programs, net, checkpoint, data, folder):
    features = os.path.join(folder, os.path.basename(checkpoint) + ".features")
    said = run(programs, "mpanet-eval", "--checkpoint", checkpoint, "--data", data, "--save-features", features,
               "--precision", "f64", "--size", f"{HEIGHT}x{WIDTH}", "--threads", "1")
    with open(os.path.join(features, "images.csv")) as file:
        paths = [line.split(",")[0] for line in file.read().splitlines()[1:]]
    ours = np.load(os.path.join(features, "features.npy")).astype(np.float64)
    net = net.double().eval()
    with torch.no_grad():
        theirs = net.bn_neck(net.features(pictures(programs, data, paths, folder))[0]).numpy()
    gap = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"{os.path.basename(checkpoint)}: {len(paths)} embeddings within {gap:.1e}")
    if not gap <= TOLERANCE:
        sys.exit(f"{checkpoint}: expected embeddings within {TOLERANCE}")
    return said


def tensors(path):
    """The tensors of a safetensors file: dtype, shape and bytes by name, without the optimiser's."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(size)), file.read()
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]) for name, entry in header.items()
            if name != "__metadata__" and not name.startswith("optimizer.")}


def check_resnet50(programs, data, place):
    with open(place("50.json"), "w") as file:
        json.dump({**CONFIG, "depth": "50", "image_size": [64, 32], "num_parts": 6}, file)
    run(programs, "mpanet-train", "--config", place("50.json"), "--data", data, "--out", place("run50"), "--threads", "1",
        "--max-steps", "1")
    run(programs, "mpanet-convert", place("run50/last.safetensors"), place("50.pth"))
    ours = tensors(place("run50/last.safetensors"))
    net = MPANet(CLASSES, "50", 6)
    net.load_state_dict(torch.load(place("50.pth"), weights_only=True), strict=True)
    for name, value in net.state_dict().items():
        if value.numpy().tobytes() != ours[name][2]:
            sys.exit(f"ResNet-50: {name}: expected the same bytes in PyTorch's network")
    torch.save(net.state_dict(), place("theirs50.pth"))
    for source in ("50.pth", "theirs50.pth"):
        run(programs, "mpanet-convert", place(source), place("back.safetensors"))
        if tensors(place("back.safetensors")) != ours:
            sys.exit(f"ResNet-50: {source}: expected the same tensors back")
    print(f"ResNet-50: {len(ours)} tensors with the same bytes, to PyTorch and back")


def main():
    programs = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        place = lambda name: os.path.join(folder, name)
        data = place("data")
        run(programs, "mpanet-data", "synth", "--out", data, "--ids", str(CLASSES), "--test-ids", "2", "--images", "2")
        with open(place("config.json"), "w") as file:
            json.dump(CONFIG, file)
        run(programs, "mpanet-train", "--config", place("config.json"), "--data", data, "--out", place("run"), "--threads",
            "1", "--max-steps", "3")
        run(programs, "mpanet-convert", place("run/last.safetensors"), place("ours.pth"))
        state = torch.load(place("ours.pth"), weights_only=True)
        net = MPANet(CLASSES, "tiny", PARTS)
        net.load_state_dict(state, strict=True)
        compare(programs, net, place("ours.pth"), data, folder)
        run(programs, "mpanet-train", "--config", place("config.json"), "--data", data, "--out", place("again"), "--threads",
            "1", "--max-steps", "0", "--init", place("ours.pth"))

        torch.manual_seed(5)
        theirs = MPANet(7, "tiny", PARTS)
        theirs.train()
        theirs.bn_neck(theirs.features(torch.randn(8, 3, HEIGHT, WIDTH))[0])  # statistics that are not 0 and 1
        adam = torch.optim.Adam(theirs.parameters())
        wrapped = torch.nn.DataParallel(theirs)
        for name, new in (("zip.pth", True), ("stream.pth", False)):
            torch.save({"state_dict": wrapped.state_dict(), "optimizer": adam.state_dict(), "epoch": 3, "best": 0.5},
                       place(name), _use_new_zipfile_serialization=new)
            said = compare(programs, theirs, place(name), data, folder)
            theirs.float()
            if 'prefix "state_dict.module." stripped' not in said:
                sys.exit(f"{name}: expected a word about the prefix, got {said}")
        run(programs, "mpanet-convert", place("zip.pth"), place("theirs.safetensors"))
        compare(programs, theirs, place("theirs.safetensors"), data, folder)
        check_resnet50(programs, data, place)


if __name__ == "__main__":
    main()
