"""MPANet in PyTorch, as a user of PyTorch would write it: for peer_torch.py, and for tests/programs/torch_weights.py."""
import numpy as np
import torch
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


# Per depth: the block, the number of blocks in each stage, the width of the first stage.
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


class Embedding(nn.Module):
    """Pictures to embeddings, the BN neck's output in eval mode."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net.bn_neck(self.net.features(images)[0])


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
    """The value of a parameter or buffer in tests/fixtures, a function of its name and shape and of the salt."""
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
