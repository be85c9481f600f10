"""What peer_torch.py, peer_onnx.py and scripts/peers_table.py share: refusals, files, memory, the check of embeddings.

Bad input is one line on stderr and exit code 2. This module is imported without numpy, too.
"""
import argparse
import contextlib
import hashlib
import json
import os
import re
import resource
import sys

# Largest accepted distance from the embeddings of eager PyTorch in f32: the L2 norm of the difference, relative to the
# norm of the embeddings. In f32 another order of sums or Winograd's algorithm makes a far smaller difference. The other
# bounds are some unit roundoffs of the type, which grow over 50 layers.
TOLERANCE = {"f32": 1e-4, "tf32": 2e-2, "f16": 2e-2, "bf16": 1e-1}


# ---- Refusals.
def fail(text):
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    print(f"{os.path.basename(sys.argv[0])}: {line}", file=sys.stderr)
    sys.exit(2)


def exit_with(main):
    """Exits with main()'s code. A stdout that cannot be written is an error, except a pipe whose reader has ended."""
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stdout.reconfigure(errors="backslashreplace")
    code = 0
    for step in (main, sys.stdout.flush):
        try:
            code = step() or code
        except SystemExit as end:
            code = end.code or code
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still in the buffer
            if not isinstance(error, BrokenPipeError):
                print(f"{os.path.basename(sys.argv[0])}: {error.filename or 'stdout'}: {error.strerror}", file=sys.stderr)
                code = 2
    sys.exit(code)


class Parser(argparse.ArgumentParser):
    def __init__(self, description):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message):
        fail(message)

    def print_help(self, file=None):
        print(self.format_help(), end="", file=file)  # argparse's own ignores a full disk


def option_type(expected, parse):
    """A type= of argparse. `parse` returns None or raises ValueError for a text that is not what is expected."""
    def checked(text):
        with contextlib.suppress(ValueError):
            value = parse(text)
            if value is not None:
                return value
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return checked


def whole(first, last):
    return option_type(f"a whole number from {first} to {last}", lambda text: int(text) if re.fullmatch("[0-9]{1,7}", text)
                       and first <= int(text) <= last else None)


def some_of(names):
    def parse(text):
        values = text.split(",")
        return values if len({*values} & {*names}) == len(values) else None
    return option_type(f"some of {','.join(names)}, each once", parse)


def is_size(text):
    sides = re.fullmatch("([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", text)
    return sides and 16 < max(int(side) for side in sides.groups()) <= 4096


# The backbone divides both sides by 16, and its instance norm needs two positions.
size = option_type("HEIGHTxWIDTH, each from 1 to 4096 and one above 16", lambda text: text if is_size(text) else None)
file_name = option_type("a name", lambda text: text or None)
device = option_type("cpu, cuda or cuda:N", lambda text: text if re.fullmatch("cpu|cuda(:[0-9]{1,3})?", text) else None)


# ---- Files.
def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except (ValueError, RecursionError) as error:
        fail(f"{path}: expected JSON: {error}")


def is_stdout(path):
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(1))
    return False


def write_json(content, path):
    """Writes the file whole or not at all. A pipe, a device and a file that stdout is too are written directly. None: writes
    nothing, but fails where it could not."""
    text = "" if content is None else json.dumps(content, indent=1) + "\n"
    target = os.path.realpath(path)
    part = f"{target}.{os.getpid()}"
    try:
        if is_stdout(path):
            sys.stdout.write(text)
        elif path.endswith("/") or os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w") as file:
                file.write(text)
        else:
            try:
                with open(part, "w") as file:
                    file.write(text)
                if content is not None:
                    os.replace(part, target)
            finally:
                with contextlib.suppress(OSError):
                    os.remove(part)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(f"--json: {path}: {error.strerror}")


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):  # all at once would count as peak memory
            digest.update(block)
    return digest.hexdigest()


def check_reference(folder, **settings):
    """Fails unless the files are as peer_torch.py --export wrote them, with these settings. Returns their names."""
    written = read_json(os.path.join(folder, "reference.json"))
    try:
        damaged = [name for name, digest in written["files"].items() if digest_of(os.path.join(folder, name)) != digest]
        if damaged:
            raise ValueError(f"{damaged[0]} was changed")
        different = [f"{name} {written[name]}, expected {value}" for name, value in settings.items() if written[name] != value]
        if different:
            raise ValueError(f"it has {different[0]}")
        return list(written["files"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        fail(f"--reference: {folder}: expected what peer_torch.py --export wrote: {error}")


def write_rows(rows, path):
    try:
        if path:
            write_json(rows, path)
    finally:
        print(json.dumps(rows, indent=1))


# ---- Measurements.
def peak_mib():
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def distance_of(embeddings, folder, precision):
    """Relative distance from the reference; ValueError if it is another network's result."""
    import numpy as np
    expected = np.load(os.path.join(folder, "embeddings.npy")).astype(np.float64)
    distance = float(np.linalg.norm(embeddings - expected) / np.linalg.norm(expected))
    if not distance <= TOLERANCE[precision]:
        raise ValueError(f"its embeddings differ from eager PyTorch's by {distance:.1e}, "
                         f"allowed {TOLERANCE[precision]:.0e}")
    return distance
