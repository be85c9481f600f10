#!/usr/bin/env python3
"""Times MPANet's embedding in ONNX Runtime and in OpenVINO, on the CPU; for scripts/compare-peers.

--reference FOLDER is a folder that peer_torch.py --export wrote. It has the network as ONNX, the pictures, and PyTorch's
embeddings of them, with which the results are compared. Exit code 0: done, 2: bad input,
77: nothing could be timed.
"""
import importlib
import os
import statistics
import sys
import time

try:
    import numpy as np
except (ImportError, OSError):
    print("skipped: this Python has no numpy")
    sys.exit(77)

from peers_common import (Parser, check_reference, distance_of, exit_with, file_name, peak_mib, some_of, whole, write_json,
                          write_rows)


def in_onnxruntime(onnxruntime, args, model, images, row):
    """A function that returns the embeddings of one batch."""
    row["peer"] = "ONNX Runtime " + onnxruntime.__version__
    if args.precision != "f32":
        raise ValueError("it has convolutions on a CPU in f32 only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": images})[0]


def in_openvino(openvino, args, model, images, row):
    """As in_onnxruntime()."""
    row["peer"] = "OpenVINO " + openvino.__version__.split("-")[0]
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": args.precision}
    if args.threads:
        settings["INFERENCE_NUM_THREADS"] = str(args.threads)
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != args.precision:
        raise ValueError(f"on this CPU it takes {used} instead")
    request = compiled.create_infer_request()
    return lambda: request.infer({"images": images})["embeddings"]


VARIANTS = {"onnxruntime": in_onnxruntime, "openvino": in_openvino}


def time_variant(library, args, variant, row):
    images = np.load(os.path.join(args.reference, "images.npy"))
    step = VARIANTS[variant](library, args, os.path.join(args.reference, "network.onnx"), images, row)
    for _ in range(2):
        result = step()
    seconds = []
    for _ in range(args.steps):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    row.update({"seconds_per_image": statistics.median(seconds) / len(images), "seconds": seconds,
                "peak_mib": peak_mib(), "distance": distance_of(result, args.reference, args.precision)})


def main():
    p = Parser(__doc__)
    p.add_argument("--reference", type=file_name, metavar="FOLDER", required=True)
    p.add_argument("--precision", default="f32", choices=["f32", "bf16", "f16"])
    p.add_argument("--steps", type=whole(1, 1000), default=5)
    p.add_argument("--threads", type=whole(0, 1024), default=0, help="0: the libraries' own choice")
    p.add_argument("--variants", type=some_of(VARIANTS), default=list(VARIANTS))
    p.add_argument("--json", type=file_name, help="write the rows to this file too")
    args = p.parse_args()
    if args.json:
        write_json(None, args.json)
    if "network.onnx" not in check_reference(args.reference):
        print("skipped: PyTorch wrote no ONNX")
        return 77
    rows, missing = [], []
    for variant in args.variants:
        row = {"peer": variant, "variant": variant, "precision": args.precision}
        try:
            library = importlib.import_module(variant)
        except (ImportError, OSError):
            missing.append(variant)
            continue
        try:
            time_variant(library, args, variant, row)
        except Exception as error:  # the other variant still runs
            row["error"] = " ".join(str(error).split())[:300] or type(error).__name__
        rows.append(row)
    if not rows:
        print(f"skipped: this Python has no {' and no '.join(missing)}")
        return 77
    write_rows(rows, args.json)
    return 0


if __name__ == "__main__":
    exit_with(main)
