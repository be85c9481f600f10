"""What peer_torch.py and peer_onnx.py share: memory, the check of embeddings, the file of results."""
import json
import os
import resource

import numpy as np

# Largest accepted distance from the embeddings of eager PyTorch in f32: the L2 norm of the difference, relative to the
# norm of the embeddings. In f32 another order of sums or Winograd's algorithm makes a far smaller difference. The other
# bounds are some unit roundoffs of the type, which grow over 50 layers.
TOLERANCE = {"f32": 1e-4, "tf32": 2e-2, "f16": 2e-2, "bf16": 1e-1}


def peak_mib():
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def distance_of(embeddings, folder, precision):
    """Relative distance from the reference; ValueError if it is another network's result."""
    expected = np.load(os.path.join(folder, "embeddings.npy")).astype(np.float64)
    distance = float(np.linalg.norm(embeddings - expected) / np.linalg.norm(expected))
    if not distance <= TOLERANCE[precision]:
        raise ValueError(f"its embeddings differ from eager PyTorch's by {distance:.1e}, "
                         f"allowed {TOLERANCE[precision]:.0e}")
    return distance


def write_rows(rows, path):
    text = json.dumps(rows, indent=1)
    print(text)
    if path:
        with open(path, "w") as file:
            file.write(text + "\n")
