#!/usr/bin/env python3
"""Times MPANet's embedding in ONNX Runtime and in OpenVINO, on the CPU; for scripts/compare-peers.

--reference FOLDER is a folder that peer_torch.py --export wrote. It has the network as ONNX, the pictures, and PyTorch's
embeddings of them, with which the results are compared. Exit code 0: done, 77: nothing could be timed.
"""
import argparse
import os
import statistics
import sys
import time

try:
    import numpy as np
except (ImportError, OSError):
    print("skipped: this Python has no numpy")
    sys.exit(77)

from peers_common import distance_of, peak_mib, write_rows


def in_onnxruntime(args, model, images, row):
    """A function that returns the embeddings of one batch."""
    import onnxruntime
    row["peer"] = "ONNX Runtime " + onnxruntime.__version__
    if args.precision != "f32":
        raise ValueError("it has convolutions on a CPU in f32 only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": images})[0]


def in_openvino(args, model, images, row):
    """As in_onnxruntime()."""
    import openvino
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


def time_variant(args, variant, row):
    images = np.load(os.path.join(args.reference, "images.npy"))
    step = VARIANTS[variant](args, os.path.join(args.reference, "network.onnx"), images, row)
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
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reference", metavar="FOLDER", required=True)
    p.add_argument("--precision", default="f32", choices=["f32", "bf16", "f16"])
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--threads", type=int, default=0, help="0: the libraries' own choice")
    p.add_argument("--variants", default=",".join(VARIANTS))
    p.add_argument("--json", help="write the rows to this file too")
    args = p.parse_args()
    if not os.path.exists(os.path.join(args.reference, "network.onnx")):
        print("skipped: PyTorch wrote no ONNX")
        return 77
    rows, missing = [], []
    for variant in args.variants.split(","):
        row = {"peer": variant, "variant": variant, "precision": args.precision}
        try:
            time_variant(args, variant, row)
        except (ImportError, OSError):
            missing.append(variant)
            continue
        except Exception as error:  # the other variant still runs
            row["error"] = " ".join(str(error).split())[:300] or type(error).__name__
        rows.append(row)
    if not rows:
        print(f"skipped: this Python has no {' and no '.join(missing)}")
        return 77
    write_rows(rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
