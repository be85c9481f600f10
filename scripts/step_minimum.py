"""The fewest bytes that the kernels of a training step have to move: each operand of an op once, from the network's
shapes. What is read and written at the same addresses counts once. Vectors with a value per channel are left out.

A kernel's launches have different sizes, so the launches are matched in order with the network's layers: the n-th
forward convolution with the n-th convolution that runs. Small kernels have no minimum.
"""
import collections

BLOCKS = {'tiny': (1, 1, 1, 1), '18': (2, 2, 2, 2), '34': (3, 4, 6, 3), '50': (3, 4, 6, 3), '101': (3, 4, 23, 3), '152': (3, 8, 36, 3)}
BASIC = ('tiny', '18', '34')  # depths whose blocks are no bottlenecks
PARTS, REDUCTION = 6, 16  # pattern maps; channels over hidden units of the channel attention
BYTES = {'bf16': (2, 4), 'f16': (2, 4), 'f32': (4, 4), 'tf32': (4, 4), 'f64': (8, 8)}  # of storage and real

# Kernels that only exist because sums are kept in parts.
ADDITIONS = ('add_split', 'batch_norm_merge')


class MismatchError(Exception):
    """The launches are not those of the network."""


class Conv(collections.namedtuple('Conv', 'n h w c k size stride')):
    def area(self):  # of the output
        return self.n * ((self.h - 1) // self.stride + 1) * ((self.w - 1) // self.stride + 1)

    def x(self):
        return self.n * self.h * self.w * self.c

    def read(self):  # elements of x under any tap
        return self.area() * self.c if self.size < self.stride else self.x()

    def y(self):
        return self.area() * self.k

    def weights(self):
        return self.k * self.size * self.size * self.c


# A residual block: its convolutions, that of the shortcut or None, and whether the block before it ends in a norm that
# nothing else reads. If it does, the epilogues of this block's data gradients can do that norm's sums.
Block = collections.namedtuple('Block', 'body downsample follows_block')


class Network:
    def __init__(self, depth, height, width, batch, classes, precision):
        self.batch, self.classes = batch, classes
        self.storage, self.real = BYTES[precision]
        self.pixels = height * width
        c = 16 if depth == 'tiny' else 64
        self.stem = Conv(batch, height, width, 3, c, 7, 2)
        h, w = ((side - 1) // 2 // 2 + 1 for side in (height, width))  # of the stem's output, pooled
        self.pooled = batch * h * w * c
        self.blocks, self.attention = [], []
        for stage, count in enumerate(BLOCKS[depth]):
            middle = self.stem.k << stage
            for i in range(count):
                stride = 2 if i == 0 and stage in (1, 2) else 1
                self.blocks.append(self.block(h, w, c, middle, stride, depth in BASIC,
                                              not (i == 0 and stage in (0, 3))))
                h, w, c = (h - 1) // stride + 1, (w - 1) // stride + 1, self.blocks[-1].body[-1].k
            if stage >= 2:
                self.attention.append((h * w, c))
        self.area, self.channels = h * w, c

    def block(self, h, w, c, middle, stride, basic, follows_block):
        oh, ow = (h - 1) // stride + 1, (w - 1) // stride + 1
        out = middle if basic else 4 * middle
        n = self.batch
        if basic:
            body = [Conv(n, h, w, c, middle, 3, stride), Conv(n, oh, ow, middle, middle, 3, 1)]
        else:
            body = [Conv(n, h, w, c, middle, 1, 1), Conv(n, h, w, middle, middle, 3, stride),
                    Conv(n, oh, ow, middle, out, 1, 1)]
        downsample = Conv(n, h, w, c, out, 1, stride) if stride != 1 or c != out else None
        return Block(body, downsample, follows_block)

    def convolutions(self):
        """In the order in which they run."""
        yield self.stem
        for block in self.blocks:
            if block.downsample:
                yield block.downsample
            yield from block.body

    def forward(self):
        return [self.storage * (c.read() + c.weights() + c.y()) for c in self.convolutions()]

    def backward(self, summed):
        """Bytes of the weight gradients and of the data gradients, in the order in which they run. summed[i]: whether
        a kernel of its own computes the sums of the i-th norm of the backward pass, instead of an epilogue."""
        order, norm = [], 0  # (convolution, whether dx has been written, number of the norm that made x, its inputs)
        for i in reversed(range(len(self.blocks))):
            block = self.blocks[i]
            downsample, first = block.downsample, block.follows_block
            for j in reversed(range(len(block.body))):
                norm += 1
                if j > 0:
                    order.append((block.body[j], False, norm, 1))
                    continue
                if downsample and first:
                    order.append((downsample, False, None, 0))
                inputs = 2 if i > 0 and self.blocks[i - 1].downsample else 1
                order.append((block.body[j], first or not downsample, norm if first else None, inputs))
                if downsample and not first:
                    order.append((downsample, True, None, 0))
        weights = [self.storage * (c.read() + c.y()) + self.real * c.weights() for c, *_ in order]
        weights.append(self.storage * (self.stem.read() + self.stem.y()) + self.real * self.stem.weights())
        data = []
        for c, _, norm, inputs in order:
            served = norm is not None and not summed[norm]
            data.append(self.storage * (c.y() + c.weights() + c.x()) +
                        (c.x() / 8 + inputs * self.storage * c.x() if served else 0))
        return weights, data

    def norms(self):
        """(elements, inputs besides its own: '' none, 'residual', 'norm'), in the order in which they run."""
        yield self.stem.y(), ''
        for block in self.blocks:
            for c in block.body[:-1]:
                yield c.y(), ''
            yield block.body[-1].y(), 'norm' if block.downsample else 'residual'

    def parameters(self):
        """Of convolutions' weights, and all trained ones."""
        weights = sum(c.weights() for c in self.convolutions())
        norms = 2 * sum(c.k for c in self.convolutions())
        attention = sum(2 * c * c // REDUCTION for _, c in self.attention)
        heads = PARTS * (self.channels + 1) + 3 * self.classes * self.features() + self.features()
        return weights, weights + norms + attention + heads

    def features(self):
        return (PARTS + 1) * self.channels

    def single(self):
        """Kernel without its constants -> bytes of all its launches."""
        s, r, n = self.storage, self.real, self.batch
        x = n * self.area * self.channels
        planes = sum(n * area * c for area, c in self.attention)
        channels = sum(n * c for _, c in self.attention)
        maps = n * self.area * PARTS
        working, trained = self.parameters()
        return {
            'augment_pictures_kernel': n * self.pixels * 3 * (1 + s),
            'max_pool_3x3_forward_kernel': s * (self.stem.y() + self.pooled) + self.pooled,
            'max_pool_3x3_backward_kernel': s * (self.stem.y() + self.pooled) + self.pooled,
            'instance_norm_moments_kernel': s * planes + 2 * r * channels,
            'instance_norm_blend_kernel': 2 * s * planes + 3 * r * channels,
            'instance_norm_gradients_kernel': 2 * s * planes + 4 * r * channels,
            'instance_norm_backward_apply_kernel': 3 * s * planes + 6 * r * channels,
            **dict.fromkeys(('pattern_forward_kernel', 'pattern_forward_tensor_kernel'),
                            s * x + r * (maps + n * self.features() + PARTS * self.channels)),
            **dict.fromkeys(('pattern_backward_kernel', 'pattern_backward_tensor_kernel'),
                            2 * s * x + r * (2 * maps + n * self.features() + 2 * PARTS * self.channels)),
            'adam_kernel': 4 * r * trained + (s * working if s != r else 0),
            'teacher_kernel': 2 * 2 * r * self.classes * self.features(),
        }


def family(name):
    return name.split('<')[0]


def match(sums, launches, belongs, minima, what):
    """Adds to `sums` the minimum of each launch that belongs, in order."""
    names = [name for name in launches if belongs(name)]
    if len(names) != len(minima):
        raise MismatchError(f'expected {len(minima)} launches of {what}, got {len(names)}')
    for name, least in zip(names, minima):
        sums[name] += least


def minimum_bytes(network, launches):
    """Kernel -> bytes, and the names of kernels that keep sums in parts. `launches`: the step's kernels, in order."""
    s = network.storage
    sums = collections.Counter()
    begins = lambda *starts: lambda name: name.startswith(starts)
    is_apply = begins('batch_norm_backward_apply_kernel')
    # A norm's sums come from a kernel of its own or from an epilogue.
    summed, own = [], False
    for name in launches:
        if is_apply(name):
            summed.append(own)
        own = name.startswith('batch_norm_gradients_kernel') or (own and not is_apply(name))
    norms = list(network.norms())
    if len(summed) != len(norms):
        raise MismatchError(f'expected {len(norms)} launches of batch_norm_backward_apply, got {len(summed)}')
    weights, data = network.backward(summed)
    match(sums, launches, begins('conv_forward'), network.forward(), 'conv_forward')
    match(sums, launches, begins('conv_backward_weights'), weights, 'conv_backward_weights')
    match(sums, launches, begins('conv_backward_data'), data, 'conv_backward_data')
    inputs = {'': 1, 'residual': 1, 'norm': 2}
    # Forward: input, output, and a bit an element for the ReLU's mask.
    match(sums, launches, begins('batch_norm_apply_kernel'),
          [count * ((2 + (added != '')) * s + 1 / 8) for count, added in norms], 'batch_norm_apply')
    # Backward: dz overwrites z. Where an epilogue made the sums, it has also applied the mask.
    back = list(zip(reversed(norms), summed))
    match(sums, launches, is_apply,
          [count * ((1 + inputs[added]) * s + (1 / 8 if own else 0)) for (count, added), own in back],
          'batch_norm_backward_apply')
    match(sums, launches, begins('batch_norm_gradients_kernel'),
          [count * ((1 + inputs[added]) * s + 1 / 8) for (count, added), own in back if own], 'batch_norm_gradients')
    single = network.single()
    for name in set(launches):
        if family(name) in single:
            sums[name] = single[family(name)]
    split = {name for name, after in zip(launches, launches[1:]) if after.startswith('add_splits_kernel')}
    parts = {name for name in set(launches)
             if name in split or name.startswith(ADDITIONS + ('conv_backward_weights',))}
    return {name: least for name, least in sums.items() if least > 0}, parts
