"""Trains a small neural network with nothing but Python, and reports its loss after every epoch.

It knows nothing of fleetfit: it prints a line of JSON for each report, and that is all.
"""

import argparse
import json
import math
import os
import random

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--hidden", type=int, default=8)
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--out", default=".")
arguments = parser.parse_args()

chance = random.Random(7)


def points(n):
    """Points on a plane; a point is of class 1 inside a ring."""
    for _ in range(n):
        x, y = chance.uniform(-1, 1), chance.uniform(-1, 1)
        yield x, y, 1.0 if 0.35 < math.hypot(x, y) < 0.8 else 0.0


training, validation = list(points(320)), list(points(160))
# Each hidden unit: the weights of x and y, its bias, its weight in the output. Last, the output's bias.
weights = [[chance.gauss(0, 2) for _ in range(4)] for _ in range(arguments.hidden)]
bias = [0.0]
speeds = [[0.0] * 4 for _ in weights]


def forward(x, y):
    activations = [math.tanh(w[0] * x + w[1] * y + w[2]) for w in weights]
    z = bias[0] + sum(w[3] * a for w, a in zip(weights, activations))
    return activations, 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))


def loss(rows):
    total = 0.0
    for x, y, label in rows:
        p = min(max(forward(x, y)[1], 1e-9), 1.0 - 1e-9)
        total -= math.log(p) if label else math.log(1.0 - p)
    return total / len(rows)


for epoch in range(1, arguments.epochs + 1):
    chance.shuffle(training)
    for x, y, label in training:
        activations, p = forward(x, y)
        error = p - label
        bias[0] -= arguments.learning_rate * error
        for w, speed, a in zip(weights, speeds, activations):
            back = error * w[3] * (1.0 - a * a)
            for i, slope in enumerate((back * x, back * y, back, error * a)):
                speed[i] = arguments.momentum * speed[i] - arguments.learning_rate * slope
                w[i] += speed[i]
    print(json.dumps({"metric": "train_loss", "value": loss(training), "step": epoch}))
    print(json.dumps({"metric": "val_loss", "value": loss(validation), "step": epoch}))

with open(os.path.join(arguments.out, "weights.json"), "w") as file:
    json.dump({"hidden": weights, "bias": bias[0]}, file)
