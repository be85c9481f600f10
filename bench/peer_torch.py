#!/usr/bin/env python3
"""MPANet's training step in PyTorch, as a user of PyTorch would write and time it; for scripts/compare-peers.

Eager and compiled, with automatic mixed precision for bf16 and f16, channels_last, a fused Adam and uploads ahead of
the step on a GPU. --check FIXTURE instead runs the steps of a fixture of tests/fixtures in double and compares every
loss term, to prove that this is the same method. Exit code 0: done, 1: --check found a difference, 77: torch or numpy is missing.
"""
import argparse
import json
import statistics
import sys
import time

try:
    import numpy as np
    import torch
except (ImportError, OSError):
    print("skipped: this Python has no torch")
    sys.exit(77)

import torch.nn as nn
import torch.nn.functional as F


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, c_in, width, stride):
        super().__init__()
        c_out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(c_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, c_out, 1, bias=False), nn.BatchNorm2d(c_out)
        self.downsample = shortcut(c_in, c_out, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, c_in, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample = shortcut(c_in, width, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


def shortcut(c_in, c_out, stride):
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


# block, blocks of each stage, width of the first stage
DEPTHS = {"tiny": (BasicBlock, (1, 1, 1, 1), 16), "18": (BasicBlock, (2, 2, 2, 2), 64),
          "34": (BasicBlock, (3, 4, 6, 3), 64), "50": (Bottleneck, (3, 4, 6, 3), 64),
          "101": (Bottleneck, (3, 4, 23, 3), 64), "152": (Bottleneck, (3, 8, 36, 3), 64)}


class ModalityAlleviation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.channel_attention = nn.Sequential(nn.Conv2d(channels, channels // 16, 1, bias=False), nn.ReLU(),
                                               nn.Conv2d(channels // 16, channels, 1, bias=False), nn.Sigmoid())

    def forward(self, x):
        mask = self.channel_attention(F.adaptive_avg_pool2d(x, 1))
        return mask * x + (1 - mask) * F.instance_norm(x)


class Backbone(nn.Module):
    def __init__(self, depth, mam, drop_last_stride):
        super().__init__()
        block, counts, first = DEPTHS[depth]
        self.conv1, self.bn1 = nn.Conv2d(3, first, 7, 2, 3, bias=False), nn.BatchNorm2d(first)
        c = first
        for stage, count in enumerate(counts):
            stride = 1 if stage == 0 or (stage == 3 and drop_last_stride) else 2
            blocks = []
            for i in range(count):
                blocks.append(block(c, first << stage, stride if i == 0 else 1))
                c = block.expansion * (first << stage)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            if mam > 3 - stage:
                setattr(self, f"MAM{stage + 1}", ModalityAlleviation(c))
        self.channels = c

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
            if hasattr(self, f"MAM{stage}"):
                x = getattr(self, f"MAM{stage}")(x)
        return x


class MPANet(nn.Module):
    def __init__(self, classes, depth="50", parts=6, mam=2, drop_last_stride=True, mutual=True, triplet=False,
                 center=False, margin=0.7):
        super().__init__()
        self.parts, self.mutual, self.triplet, self.center, self.margin = parts, mutual, triplet, center, margin
        self.backbone = Backbone(depth, mam, drop_last_stride)
        channels = self.backbone.channels
        size = channels * (parts + 1)
        if center:
            self.center_loss = nn.Module()
            self.center_loss.centers = nn.Parameter(torch.randn(classes, size))
        if parts:
            self.spatial_attention = nn.Conv2d(channels, parts, 1)
        if mutual:
            for name in ("visible_classifier", "infrared_classifier", "visible_classifier_", "infrared_classifier_"):
                setattr(self, name, nn.Linear(size, classes, bias=False))
            self.visible_classifier_.requires_grad_(False)
            self.infrared_classifier_.requires_grad_(False)
        self.bn_neck = nn.BatchNorm1d(size)
        self.bn_neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(size, classes, bias=False)

    def features(self, images):
        x = self.backbone(images)
        pooled = F.adaptive_avg_pool2d(x, 1).flatten(1)
        if not self.parts:
            return pooled, None
        masks = torch.sigmoid(self.spatial_attention(x)).flatten(2)
        of_parts = torch.bmm(masks, x.flatten(2).transpose(1, 2)) / masks.shape[2]
        return torch.cat([of_parts.flatten(1), pooled], 1), masks

    def forward(self, images, labels, infrared, epoch):
        """The loss terms of a training step and their weighted sum."""
        f, masks = self.features(images)
        terms = {}
        total = 0
        if self.parts > 1:
            overlap = torch.bmm(masks, masks.transpose(1, 2))
            pairs = self.parts * (self.parts - 1) / 2
            terms["p-reg"] = torch.triu(overlap, 1).sum() / (len(f) * pairs)
            total = total + 0.5 * terms["p-reg"]
        if self.triplet:
            terms["tri"] = triplet(f, labels, self.margin)
            total = total + terms["tri"]
        if self.center:
            centers = self.center_loss.centers
            terms["cen"] = ((f - centers[labels]) ** 2).sum() / (len(f) * len(centers))
            total = total + terms["cen"]
        terms["cc"] = center_cluster(f, labels, self.margin)
        g = self.bn_neck(f)
        terms["ce"] = F.cross_entropy(self.classifier(g), labels)
        total = total + terms["cc"] + terms["ce"]
        if self.mutual:
            total = total + self.mutual_learning(g, labels, infrared, epoch, terms)
        terms["total"] = total
        return terms

    def mutual_learning(self, g, labels, infrared, epoch, terms):
        visible = ~infrared
        logits_v, logits_i = self.visible_classifier(g[visible]), self.infrared_classifier(g[infrared])
        terms["ce-v"] = F.cross_entropy(logits_v, labels[visible])
        terms["ce-i"] = F.cross_entropy(logits_i, labels[infrared])
        with torch.no_grad():
            rate = 0.2 * min(100 / (epoch + 1), 1)
            for live, teacher in ((self.visible_classifier, self.visible_classifier_),
                                  (self.infrared_classifier, self.infrared_classifier_)):
                teacher.weight.lerp_(live.weight, rate)
            taught = torch.cat([self.infrared_classifier_(g[visible]), self.visible_classifier_(g[infrared])])
        student = F.softmax(torch.cat([logits_v, logits_i]), 1)
        terms["KL"] = F.kl_div(F.log_softmax(taught, 1), student, reduction="batchmean")
        return 2 * 0.5 * (terms["ce-v"] + terms["ce-i"]) + 2.5 * terms["KL"]


def center_cluster(f, labels, margin):
    identities, own = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(own).to(f.dtype)
    centers = torch.zeros(len(identities), f.shape[1], dtype=f.dtype, device=f.device).index_add(0, own, f)
    centers = centers / counts[:, None]
    pull = ((f - centers[own]) ** 2).sum(1).clamp(min=1e-24).sqrt().mean()
    gap = ((centers[:, None] - centers[None]) ** 2).sum(2).clamp(min=1e-12).sqrt()
    apart = 1 - torch.eye(len(identities), dtype=f.dtype, device=f.device)
    push = ((margin - gap).clamp(min=0) * apart).sum() / (len(identities) * (len(identities) - 1))
    return pull + push


def triplet(f, labels, margin):
    square = (f ** 2).sum(1)
    d = (square[:, None] + square[None] - 2 * f @ f.t()).clamp(min=1e-12).sqrt()
    same = labels[:, None] == labels[None]
    farthest = d.masked_fill(~same, -float("inf")).max(1).values
    nearest = d.masked_fill(same, float("inf")).min(1).values
    return (margin + farthest - nearest).clamp(min=0).mean()


# ---- Time.
AUTOCAST = {"f32": None, "bf16": torch.bfloat16, "f16": torch.float16}


class Batches:
    """Alternates two batches; on a GPU each is copied from pinned memory during the step before."""

    def __init__(self, args, device, classes):
        self.device, self.next = device, 0
        self.side = torch.cuda.Stream(device) if device.type == "cuda" else None
        generator = torch.Generator().manual_seed(1)
        height, width = (int(n) for n in args.size.split("x"))
        self.images = []
        for _ in range(2):
            images = torch.rand(args.batch, 3, height, width, generator=generator) * 4 - 2
            images = images.contiguous(memory_format=torch.channels_last)
            self.images.append(images.pin_memory() if self.side else images)
        self.labels = (torch.arange(args.batch) // 4 % classes).to(device)
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


def time_steps(args, device, compiled):
    torch.manual_seed(1)
    gpu = device.type == "cuda"
    net = MPANet(args.classes, args.depth).to(device).to(memory_format=torch.channels_last).train()
    if compiled:
        net.features = torch.compile(net.features)
    trained = [p for p in net.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=3.5e-4, weight_decay=5e-4, fused=gpu)
    scaler = torch.amp.GradScaler(device.type, enabled=args.precision == "f16")
    cast = AUTOCAST[args.precision]
    batches = Batches(args, device, args.classes)

    def step():
        images, labels, infrared = batches.take()
        adam.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=cast or torch.bfloat16, enabled=cast is not None):
            total = net(images, labels, infrared, 1)["total"]
        scaler.scale(total).backward()
        scaler.step(adam)
        scaler.update()

    if gpu:
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(5 if gpu else 2):
        step()
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
    return row


def run(args):
    torch.set_num_threads(args.threads or torch.get_num_threads())
    device = torch.device(args.device)
    rows = []
    for name in args.variants.split(","):
        # f32 with and without TF32, which most users of PyTorch allow.
        for tf32 in [False, True] if args.precision == "f32" and device.type == "cuda" else [False]:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            torch.backends.cudnn.benchmark = True
            row = {"peer": "PyTorch " + torch.__version__, "variant": name + (", TF32" if tf32 else ""),
                   "precision": args.precision}
            try:
                row.update(time_steps(args, device, name == "compiled"))
            except Exception as error:  # the other variants still run
                row["error"] = " ".join(str(error).split())[:300] or type(error).__name__
            if device.type == "cuda":
                torch.cuda.empty_cache()
            rows.append(row)
    text = json.dumps(rows, indent=1)
    print(text)
    if args.json:
        with open(args.json, "w") as file:
            file.write(text + "\n")
    return 0


# ---- The same method: a fixture's values and results.
def uniform(name, count, salt):
    """`count` doubles in [-1, 1): splitmix64 of FNV-1a of the name, plus salt and index."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & (1 << 64) - 1
    with np.errstate(over="ignore"):
        z = np.uint64(seed + salt & (1 << 64) - 1) + np.arange(count, dtype=np.uint64)
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) * 2.0 ** -52 - 1)


def fill(name, value, salt):
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(value)
    u = uniform(name.replace("classifier_.", "classifier."), value.numel(), salt)
    if name == "bn_neck.bias":
        u = 0 * u
    elif name.endswith("running_var"):
        u = 1 + 0.3 * u
    elif name.endswith(("running_mean", "bias")):
        u = 0.1 * u
    elif value.dim() == 4:
        u = u * (6 / (value.shape[0] * value.shape[2] * value.shape[3])) ** 0.5
    elif value.dim() == 2:
        u = u * 3 ** 0.5 * 0.05
    else:
        u = 1 + 0.2 * u
    return u.reshape(value.shape).float()


def check(path):
    with open(path) as file:
        fixture = json.load(file)
    c = fixture["config"]
    net = MPANet(c["classes"], c.get("depth", "50"), c["parts"], c["mam"], not c["keep_last_stride"],
                 not c["no_mutual"], c.get("triplet", False), c.get("center", False), c["margin"])
    net.load_state_dict({name: fill(name, value, c["salt"]) for name, value in net.state_dict().items()})
    net.double().train()
    adam = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=c["lr"], weight_decay=c["weight_decay"])
    count, worst, where = c["ids"] * c["shots"], 0.0, "nothing"
    for step, expected in enumerate(fixture["steps"]):
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
    print(f"{path}: {len(fixture['steps'])} steps, loss terms within {worst:.1e} ({where}): {'the same' if same else 'DIFFERENT'}")
    return 0 if same else 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    p.add_argument("--precision", default="f32", choices=list(AUTOCAST))
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--size", default="384x128", help="HEIGHTxWIDTH")
    p.add_argument("--depth", default="50", choices=list(DEPTHS))
    p.add_argument("--classes", type=int, default=395)
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    p.add_argument("--variants", default="eager", help="eager, compiled or both: eager,compiled")
    p.add_argument("--json", help="write the rows to this file too")
    p.add_argument("--check", metavar="FIXTURE")
    args = p.parse_args()
    return check(args.check) if args.check else run(args)


if __name__ == "__main__":
    sys.exit(main())
