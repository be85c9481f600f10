"""MPANet's embeddings from Python: load, embed, compare, rank. Needs numpy, and no compiler.

    model = mpanet.load("best.safetensors")
    features = model.embed(["a.jpg", "b.jpg"])                 # (2, model.dimension), float32
    indices, distances = mpanet.rank(features, features, top=2)

Every error is an mpanet.Error, whose text is one line. Other Python threads run during a call. Calls with one model
take turns; those with different models run at the same time. After os.fork() a model is unusable in the child, which
can load its own.

This is a layer of ctypes over libmpanet's C interface; mpanet.h says what each function computes.
"""

import ctypes
import os
import threading

import numpy as np

__all__ = ["Error", "Model", "compare", "load", "rank", "version"]

_ABI = 1
# A call embeds about so many pictures, in whole batches, so that Ctrl-C ends a long embedding between two calls.
_PICTURES_A_CALL = 64


class Error(Exception):
    """Any error. code: 2 for bad input (an argument, file or picture) and too little memory, 1 for an internal error."""

    def __init__(self, text, code=2):
        super().__init__(text)
        self.code = code


class _Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("device", ctypes.c_char_p),
        ("precision", ctypes.c_char_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("batch", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("flip", ctypes.c_int32),
    ]


class _Pixels(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("height", ctypes.c_size_t),
        ("width", ctypes.c_size_t),
        ("row_bytes", ctypes.c_size_t),
    ]


def _library_path():
    """The library beside this installation; MPANET_LIBRARY names another file."""
    if "MPANET_LIBRARY" in os.environ:
        return os.environ["MPANET_LIBRARY"]
    try:
        from ._location import LIBRARY
    except ImportError:  # the sources
        return f"libmpanet.so.{_ABI}"
    return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), LIBRARY))


def _open_library():
    path = _library_path()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise Error(f"{path}: cannot load the library: {error}") from None
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    types = {
        "mpanet_abi": (ctypes.c_int, []),
        "mpanet_version": (ctypes.c_char_p, []),
        "mpanet_error": (ctypes.c_char_p, []),
        "mpanet_load": (ctypes.c_int, [ctypes.c_char_p, ctypes.POINTER(_Options), ctypes.POINTER(pointer)]),
        "mpanet_free": (None, [pointer]),
        "mpanet_dimension": (size, [pointer]),
        "mpanet_input_size": (ctypes.c_int, [pointer] + 2 * [ctypes.POINTER(ctypes.c_int32)]),
        "mpanet_embed_files": (ctypes.c_int, [pointer, ctypes.POINTER(ctypes.c_char_p), size, pointer, size]),
        "mpanet_embed_pixels": (ctypes.c_int, [pointer, ctypes.POINTER(_Pixels), size, pointer, size]),
        "mpanet_compare": (ctypes.c_int, [pointer, size, pointer, size, size, pointer, size]),
        "mpanet_calibrated": (ctypes.c_int, [pointer, ctypes.POINTER(ctypes.c_int32)]),
        "mpanet_probabilities": (ctypes.c_int, [pointer, pointer, size, pointer, size]),
        "mpanet_rank": (ctypes.c_int, [pointer, size, pointer, size, size, size, pointer, pointer, size]),
    }
    try:
        for name, (result, arguments) in types.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise Error(f"{path}: not a libmpanet: {error}") from None
    if library.mpanet_abi() != _ABI:
        raise Error(f"{path}: expected interface {_ABI}, got {library.mpanet_abi()}")
    return library


_library = _open_library()


def version():
    return _library.mpanet_version().decode()


def _check(code):
    if code != 0:
        raise Error(_library.mpanet_error().decode("utf-8", "replace"), code)


def _c_text(name, value):
    """The bytes of a text or path. C would end it at a zero byte."""
    try:
        text = os.fsencode(value)
    except (TypeError, ValueError) as error:
        raise Error(f"{name}: expected a text or path, got {type(value).__name__}: {error}") from None
    if b"\0" in text:
        raise Error(f"{name}: a zero byte is in {value!r}")
    return text


def _whole(name, value):
    """A number that fits into an int32 of the C interface, which checks its range."""
    try:
        number = value.__index__()
    except AttributeError:
        raise Error(f"{name}: expected an integer, got {value!r}") from None
    if not -(2**31) <= number < 2**31:
        raise Error(f"{name}: expected an integer of 32 bits, got {number}")
    return number


def _rows(name, values):
    try:
        rows = np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise Error(f"{name}: expected numbers: {error}") from None
    if rows.ndim != 2:
        raise Error(f"{name}: expected the shape (rows, numbers), got {np.shape(values)}")
    return rows


def _pair(queries, gallery):
    queries, gallery = _rows("queries", queries), _rows("gallery", gallery)
    if queries.shape[1] != gallery.shape[1]:
        raise Error(f"the queries have {queries.shape[1]} numbers a row, the gallery has {gallery.shape[1]}")
    return queries, gallery


def compare(queries, gallery):
    """Squared Euclidean distances of the L2-normalised rows, 0..4: (queries, gallery), float32."""
    queries, gallery = _pair(queries, gallery)
    out = np.empty((len(queries), len(gallery)), np.float32)
    _check(
        _library.mpanet_compare(
            queries.ctypes.data, len(queries), gallery.ctypes.data, len(gallery), queries.shape[1],
            out.ctypes.data, out.size,
        )
    )
    return out


def rank(queries, gallery, top=10):
    """The `top` nearest rows of the gallery for each query, all if there are fewer: nearest first, equal ones in the
    gallery's order. Returns indices (queries, top), int64, and distances, float32."""
    queries, gallery = _pair(queries, gallery)
    top = _whole("top", top)
    if top < 0:
        raise Error(f"top: expected an integer from 0, got {top}")
    top = min(top, len(gallery))
    indices = np.empty((len(queries), top), np.int64)
    distances = np.empty((len(queries), top), np.float32)
    _check(
        _library.mpanet_rank(
            queries.ctypes.data, len(queries), gallery.ctypes.data, len(gallery), queries.shape[1], top,
            indices.ctypes.data, distances.ctypes.data, indices.size,
        )
    )
    return indices, distances


class Model:
    """A network with its weights. Made by load()."""

    def __init__(self, path, device=None, precision=None, size=None, batch=0, threads=0, flip=False):
        self._handle = None
        self._turn = threading.Lock()
        options = _Options(struct_size=ctypes.sizeof(_Options), flip=1 if flip else 0)
        options.device = None if device is None else _c_text("device", device)
        options.precision = None if precision is None else _c_text("precision", precision)
        if size is not None:
            try:
                height, width = size
            except (TypeError, ValueError):
                raise Error(f"size: expected (height, width), got {size!r}") from None
            options.height, options.width = _whole("height", height), _whole("width", width)
        options.batch, options.threads = _whole("batch", batch), _whole("threads", threads)
        whole = max(1, options.batch)
        self._pictures_a_call = -(-_PICTURES_A_CALL // whole) * whole
        handle = ctypes.c_void_p()
        _check(_library.mpanet_load(_c_text("path", path), ctypes.byref(options), ctypes.byref(handle)))
        self._handle = handle
        height, width = ctypes.c_int32(), ctypes.c_int32()
        _check(_library.mpanet_input_size(handle, ctypes.byref(height), ctypes.byref(width)))
        self.dimension = _library.mpanet_dimension(handle)
        self.input_size = (height.value, width.value)

    def embed(self, pictures):
        """Embeddings, (len(pictures), dimension), float32. A picture is a path, or an array (height, width, 3) of uint8
        in RGB."""
        if isinstance(pictures, (str, bytes, os.PathLike)):
            raise Error(f"pictures: expected a list, got one path: {pictures!r}")
        try:
            pictures = list(pictures)
        except TypeError:
            raise Error(f"pictures: expected a list, got {type(pictures).__name__}") from None
        out = np.empty((len(pictures), self.dimension), np.float32)
        first = 0
        while first < len(pictures):
            files = _is_path(pictures[first])
            last = first
            while last < len(pictures) and last - first < self._pictures_a_call and _is_path(pictures[last]) == files:
                last += 1
            self._embed_kind(pictures, first, last, files, out[first:last])
            first = last
        return out

    def compare(self, queries, gallery):
        """Distances as compare(), and the probabilities that a pair is of the same person, (queries, gallery), float32:
        None unless mpanet-eval has calibrated the checkpoint for this size and flip. They are those of a pair that is
        as often of the same person as of different ones. Error for a calibration of other weights."""
        distances = compare(queries, gallery)
        with self._turn:
            if self._handle is None:
                raise Error("the model was closed")
            calibrated = ctypes.c_int32()
            _check(_library.mpanet_calibrated(self._handle, ctypes.byref(calibrated)))
            if not calibrated.value:
                return distances, None
            probabilities = np.empty_like(distances)
            _check(
                _library.mpanet_probabilities(
                    self._handle, distances.ctypes.data, distances.size, probabilities.ctypes.data, probabilities.size
                )
            )
        return distances, probabilities

    def close(self):
        """Frees the network's memory now, after the running call. The model is unusable then."""
        with self._turn:
            if self._handle is not None:
                _library.mpanet_free(self._handle)
                self._handle = None

    def _embed_kind(self, pictures, first, last, files, out):
        count = last - first
        if files:
            function = _library.mpanet_embed_files
            given = (ctypes.c_char_p * count)(*[_c_text(f"picture {i}", pictures[i]) for i in range(first, last)])
        else:
            function = _library.mpanet_embed_pixels
            arrays = [_pixels(i, pictures[i]) for i in range(first, last)]  # kept alive during the call
            given = (_Pixels * count)(*[_Pixels(a.ctypes.data, a.nbytes, a.shape[0], a.shape[1], 0) for a in arrays])
        with self._turn:
            if self._handle is None:
                raise Error("the model was closed")
            code = function(self._handle, given, count, out.ctypes.data, out.size)
        _check(code)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    # The default is kept until the interpreter's end, when the module's names may be gone already.
    def __del__(self, free=_library.mpanet_free):
        if getattr(self, "_handle", None) is not None:
            free(self._handle)


def _is_path(picture):
    return isinstance(picture, (str, bytes, os.PathLike))


def _pixels(index, picture):
    try:
        array = np.asarray(picture)
    except (TypeError, ValueError) as error:
        raise Error(f"picture {index}: expected a path or an array: {error}") from None
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise Error(
            f"picture {index}: expected a path or an array (height, width, 3) of uint8, got "
            f"{array.shape} of {array.dtype}"
        )
    return np.ascontiguousarray(array)


def load(path, device=None, precision=None, size=None, batch=0, threads=0, flip=False):
    """Loads a checkpoint of mpanet-train, or weights with the authors' names (safetensors, .pth).

    device: "cpu", "cuda", "cuda:N" or "auto", the default: a GPU if one can be used. precision: "f32" (default), "tf32",
    "bf16", "f16", "f64" or "auto". size: (height, width) of the network's input. batch: pictures at a time; 0: 1 on the
    CPU, 64 on a GPU. threads: of OpenMP, one number for the process. flip: the mean of the embeddings of a picture and of
    its mirror image."""
    return Model(path, device, precision, size, batch, threads, flip)
