#!/usr/bin/env python3
"""MPANet's training step and embedding in PyTorch, as a user of PyTorch would write and time them; for
scripts/compare-peers.

The variants of --variants:
  eager          in PyTorch's own layout, NCHW
  channels_last  eager, with pictures and weights in NHWC
  compiled       channels_last, by torch.compile
  freezing       compiled for embeddings only, with Inductor's freezing, which makes the weights constants
With automatic mixed precision for bf16 and f16, and on a GPU a fused Adam and uploads ahead of the step.

--export FOLDER writes what --reference FOLDER and peer_onnx.py read: pictures, their embeddings by eager PyTorch in f32 on
the CPU, and the same network as ONNX. --check FIXTURE runs the steps of a fixture of tests/fixtures in double and compares
every loss term, to prove that this is the same method. Exit code 0: done, 1: --check found a difference, 2: bad input,
77: torch or numpy is missing.
"""
import os
import statistics
import sys
import tempfile
import time
import warnings

try:
    import numpy as np
    import torch
except (ImportError, OSError):
    print("skipped: this Python has no torch")
    sys.exit(77)

from mpanet_torch import DEPTHS, Embedding, MPANet, fill, uniform
from peers_common import (Parser, check_reference, device, digest_of, distance_of, exit_with, fail, file_name, peak_mib,
                          read_json, size, some_of, whole, write_json, write_rows)

AUTOCAST = {"f32": None, "bf16": torch.bfloat16, "f16": torch.float16}
VARIANTS = ("eager", "channels_last", "compiled", "freezing")


def layout(variant):
    return torch.contiguous_format if variant == "eager" else torch.channels_last


def random_images(args, seed):
    height, width = (int(n) for n in args.size.split("x"))
    return torch.rand(args.batch, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 4 - 2


class Batches:
    """Two batches that alternate. On a GPU each is copied from pinned memory during the step before it."""

    def __init__(self, args, device, variant):
        self.device, self.next = device, 0
        self.side = torch.cuda.Stream(device) if device.type == "cuda" else None
        images = [random_images(args, seed).contiguous(memory_format=layout(variant)) for seed in (1, 2)]
        self.images = [i.pin_memory() for i in images] if self.side else images
        self.labels = (torch.arange(args.batch) // 4 % args.classes).to(device)
        self.infrared = (torch.arange(args.batch) % 2 == 0).to(device)
        self.sent = self.send()

    def send(self):
        images = self.images[self.next]
        self.next = 1 - self.next
        if not self.side:
            return images
        with torch.cuda.stream(self.side):
            return images.to(self.device, non_blocking=True)

    def take(self):
        images = self.sent
        if self.side:
            torch.cuda.current_stream(self.device).wait_stream(self.side)
            images.record_stream(torch.cuda.current_stream(self.device))
        self.sent = self.send()
        return images, self.labels, self.infrared


def clock(device):
    """Returns a time stamp, and a function that returns the seconds between two of them."""
    if device.type != "cuda":
        return time.perf_counter(), lambda begin, end: end - begin
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event, lambda begin, end: begin.elapsed_time(end) * 1e-3


def autocast(args, device):
    cast = AUTOCAST[args.precision]
    return torch.autocast(device.type, dtype=cast or torch.bfloat16, enabled=cast is not None)


def training_step(args, device, variant):
    """A function that does one step."""
    torch.manual_seed(1)
    net = MPANet(args.classes, args.depth).to(device).to(memory_format=layout(variant)).train()
    if variant == "compiled":
        net.features = torch.compile(net.features)
    trained = [p for p in net.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=3.5e-4, weight_decay=5e-4, fused=device.type == "cuda")
    scaler = torch.amp.GradScaler(device.type, enabled=args.precision == "f16")
    batches = Batches(args, device, variant)

    def step():
        images, labels, infrared = batches.take()
        adam.zero_grad(set_to_none=True)
        with autocast(args, device):
            total = net(images, labels, infrared, 1)["total"]
        scaler.scale(total).backward()
        scaler.step(adam)
        scaler.update()

    return step


def embedding_network(args):
    """The network in eval mode. Its parameters and statistics keep the activations of every layer in a moderate range."""
    net = MPANet(args.classes, args.depth, mutual=False)
    net.load_state_dict({name: fill(name, value, 0) for name, value in net.state_dict().items()})
    return Embedding(net).eval()


def embedding_step(args, device, variant):
    """A function that returns the embeddings of one batch on the host."""
    net = embedding_network(args).to(device).to(memory_format=layout(variant))
    if variant == "freezing":
        import torch._inductor.config as inductor
        inductor.freezing = True
    if variant in ("compiled", "freezing"):
        net = torch.compile(net)
    images = random_images(args, 1).contiguous(memory_format=layout(variant))

    def step():
        with torch.inference_mode(), autocast(args, device):
            return net(images.to(device, non_blocking=True)).float().cpu()

    return step


def time_steps(args, device, variant):
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats(device)
    step = (training_step if args.what == "train" else embedding_step)(args, device, variant)
    for _ in range(5 if gpu else 2):
        result = step()
    moments = [clock(device)[0]]
    for _ in range(args.steps):
        step()
        moments.append(clock(device)[0])
    between = clock(device)[1]
    if gpu:
        torch.cuda.synchronize(device)
    seconds = [between(begin, end) for begin, end in zip(moments, moments[1:])]
    row = {"seconds_per_image": statistics.median(seconds) / args.batch, "seconds": seconds}
    if gpu:
        row["gpu_peak_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    else:
        row["peak_mib"] = peak_mib()
    if args.what == "embed" and args.reference:
        row["distance"] = distance_of(result.numpy(), args.reference, "tf32" if tf32_allowed() else args.precision)
    return row


def tf32_allowed():
    return torch.backends.cudnn.allow_tf32 and torch.cuda.is_available()


def run(args):
    torch.set_num_threads(args.threads or torch.get_num_threads())
    device = torch.device(args.device)
    rows = []
    for variant in args.variants:
        # f32 with and without TF32, which most users of PyTorch allow.
        for tf32 in [False, True] if args.precision == "f32" and device.type == "cuda" else [False]:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            torch.backends.cudnn.benchmark = True
            row = {"peer": "PyTorch " + torch.__version__, "variant": variant + (", TF32" if tf32 else ""),
                   "precision": args.precision}
            try:
                row.update(time_steps(args, device, variant))
            except Exception as error:  # the other variants still run
                row["error"] = " ".join(str(error).split())[:300] or type(error).__name__
            if device.type == "cuda":
                torch.cuda.empty_cache()
            rows.append(row)
    write_rows(rows, args.json)
    return 0


def settings_of(args):
    return {"batch": args.batch, "size": args.size, "depth": args.depth}


def write_reference(args, folder):
    net, images = embedding_network(args), random_images(args, 1)
    with torch.inference_mode():
        embeddings = net(images).numpy()
    if not np.isfinite(embeddings).all():
        raise ValueError("expected finite embeddings")
    np.save(os.path.join(folder, "images.npy"), images.numpy())
    np.save(os.path.join(folder, "embeddings.npy"), embeddings)
    network = os.path.join(folder, "network.onnx")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(net, (images,), network, dynamo=False, input_names=["images"], output_names=["embeddings"])
    except Exception as error:  # PyTorch alone can be compared
        print(f"PyTorch wrote no ONNX: {' '.join(str(error).split())[:300]}")
        if os.path.exists(network):
            os.remove(network)
    files = {name: digest_of(os.path.join(folder, name)) for name in os.listdir(folder)}
    write_json({**settings_of(args), "files": files}, os.path.join(folder, "reference.json"))


def export(args):
    try:
        # The files get their names when all of them are written.
        with tempfile.TemporaryDirectory(dir=args.export, prefix="part-") as folder:
            write_reference(args, folder)
            for name in os.listdir(folder):
                os.replace(os.path.join(folder, name), os.path.join(args.export, name))
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: PyTorch has no memory
        fail(f"--export: {args.export}: {error}")
    return 0


# ---- Proof that this is the same method.
def check(path):
    """Runs the steps of a fixture in double. Exit code 0 if every loss term is the fixture's."""
    fixture = read_json(path)
    try:
        return compare_steps(path, fixture["config"], fixture["steps"])
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        fail(f"{path}: expected a fixture of tests/fixtures: {type(error).__name__}: {error}")


def compare_steps(path, c, steps):
    if not steps:
        raise ValueError("no steps")
    net = MPANet(c["classes"], c.get("depth", "50"), c["parts"], c["mam"], not c["keep_last_stride"],
                 not c["no_mutual"], c.get("triplet", False), c.get("center", False), c["margin"])
    net.load_state_dict({name: fill(name, value, c["salt"]) for name, value in net.state_dict().items()})
    net.double().train()
    adam = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=c["lr"], weight_decay=c["weight_decay"])
    count, worst, where = c["ids"] * c["shots"], 0.0, "nothing"
    for step, expected in enumerate(steps):
        shape = (count, 3, c["height"], c["width"])
        images = (2 * uniform(f"images.{step}", torch.Size(shape).numel(), c["salt"])).reshape(shape).float().double()
        labels = torch.tensor([(3 * (i // c["shots"]) + step) % c["classes"] for i in range(count)])
        adam.zero_grad()
        terms = net(images, labels, torch.arange(count) % 2 == 0, 1)
        terms["total"].backward()
        adam.step()
        if set(terms) != set(expected):
            print(f"{path}: step {step + 1}: expected the terms {sorted(expected)}, got {sorted(terms)}")
            return 1
        for name, value in expected.items():
            gap = abs(terms[name].item() - value) / max(abs(value), 1e-3)
            if gap > worst or gap != gap:  # NaN is worse than any number
                worst, where = gap if gap == gap else float("inf"), f"{name} of step {step + 1}"
    same = worst <= 1e-6
    print(f"{path}: {len(steps)} steps, loss terms within {worst:.1e} ({where}): "
          f"{'the same' if same else 'DIFFERENT'}")
    return 0 if same else 1


def main():
    p = Parser(__doc__)
    p.add_argument("--what", default="train", choices=["train", "embed"])
    p.add_argument("--device", type=device, default="cpu", help="cpu, cuda or cuda:N")
    p.add_argument("--precision", default="f32", choices=list(AUTOCAST))
    p.add_argument("--batch", type=whole(2, 4096), default=16)
    p.add_argument("--size", type=size, default="384x128", help="HEIGHTxWIDTH")
    p.add_argument("--depth", default="50", choices=list(DEPTHS))
    p.add_argument("--classes", type=whole(1, 100000), default=395)
    p.add_argument("--steps", type=whole(1, 1000), default=5)
    p.add_argument("--threads", type=whole(0, 1024), default=0, help="0: PyTorch's own choice")
    p.add_argument("--variants", type=some_of(VARIANTS), default=["eager"], help=f"some of {','.join(VARIANTS)}")
    p.add_argument("--reference", type=file_name, metavar="FOLDER", help="compares embeddings with those of --export FOLDER")
    p.add_argument("--json", type=file_name, help="write the rows to this file too")
    p.add_argument("--export", type=file_name, metavar="FOLDER")
    p.add_argument("--check", type=file_name, metavar="FIXTURE")
    args = p.parse_args()
    if args.check:
        return check(args.check)
    if args.export:
        return export(args)
    if args.what == "train" and "freezing" in args.variants:
        p.error("--variants: freezing: expected it with --what embed only")
    if args.json:
        write_json(None, args.json)
    if args.reference and args.what == "embed":
        check_reference(args.reference, **settings_of(args))
    return run(args)


if __name__ == "__main__":
    exit_with(main)
