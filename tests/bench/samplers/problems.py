"""Synthetic problems by family. Each seed is a problem of its own: the best point, the rotation,
the order of words and the branches' roles are drawn anew, so that no sampler gains by where it
starts, and nothing can be tuned to one place.

The best loss is known, and `typical` is the median loss of uniform random configurations:
normalised regret is (loss - least) / (typical - least).
"""

import itertools
import math
import statistics
import zlib
from dataclasses import dataclass

import numpy

from .space import Real, Whole, Words, box, children, draw, unit

FAMILIES = ("numeric", "mixed", "conditional", "many-dimensional", "noisy", "failing", "stuck",
            "wide", "real")
# Noise has this share of the distance between the best and a random loss as its deviation.
NOISE = 0.05
N_TYPICAL = 501


@dataclass
class Instance:
    space: list
    # Not a number where a trial fails.
    loss: callable
    least: float
    # The median of random losses, and the worst one of them.
    typical: float = None
    bad: float = None
    noise: float = 0.0
    # Of a configuration: the work and the loss of each step, where there are several.
    curve: callable = None

    def regret(self, loss):
        return (loss - self.least) / (self.typical - self.least)


@dataclass
class Problem:
    name: str
    family: str
    make: callable
    is_noisy: bool = False
    folders: tuple = ()

    def instance(self, seed):
        name = self.name.removeprefix("noisy_")
        random = numpy.random.default_rng([zlib.crc32(name.encode()), seed])
        instance = self.make(random)
        if instance.typical is None:
            losses = []
            while len(losses) < N_TYPICAL:
                loss = instance.loss(draw(instance.space, random))
                losses += [] if math.isnan(loss) else [loss]
            instance.typical, instance.bad = statistics.median(losses), max(losses)
        if self.is_noisy:
            instance.noise = NOISE * (instance.typical - instance.least)
        return instance


# Numeric ones: a function of z, whose best point `best` lies at a drawn place of the unit cube.

def moved(function, best, width, least=0.0, is_rotated=False, n_idle=0):
    best, width = numpy.asarray(best, float), numpy.asarray(width, float)
    n = len(best)

    def make(random):
        place = random.uniform(0.1, 0.9, n)
        axes = numpy.eye(n)
        if is_rotated:
            axes, upper = numpy.linalg.qr(random.normal(size=(n, n)))
            axes = axes * numpy.sign(numpy.diag(upper))
        names = [f"x{i}" for i in random.permutation(n + n_idle)[:n]]

        def loss(values):
            units = numpy.array([values[name] for name in names])
            return float(function(best + width * (axes @ (units - place))))

        return Instance(box(n + n_idle), loss, least)

    return make


def branin(z):
    x, y = z
    bowl = y - 5.1 / (4 * math.pi ** 2) * x * x + 5 / math.pi * x - 6
    return bowl ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


BRANIN = (branin, [math.pi, 2.275], [15, 15], 0.39788735772973816)

H_WEIGHTS = numpy.array([1.0, 1.2, 3.0, 3.2])
H_SCALES = numpy.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
                        [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])
H_PLACES = 1e-4 * numpy.array(
    [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]])


def hartmann6(z):
    return -H_WEIGHTS @ numpy.exp(-(H_SCALES * (z - H_PLACES) ** 2).sum(axis=1))


HARTMANN6 = (hartmann6, [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573], [1] * 6,
             -3.32236801141551)


def ackley(z):
    return (-20 * math.exp(-0.2 * math.sqrt((z * z).mean()))
            - math.exp(numpy.cos(2 * math.pi * z).mean()) + 20 + math.e)


def rosenbrock(z):
    return (100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum()


def levy(z):
    w = 1 + (z - 1) / 4
    ends = math.sin(math.pi * w[0]) ** 2
    ends += (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    return ends + ((w[:-1] - 1) ** 2 * (1 + 10 * numpy.sin(math.pi * w[:-1] + 1) ** 2)).sum()


def ackley_in(n):
    return ackley, [0] * n, [65.536] * n


def rosenbrock_in(n):
    return rosenbrock, [1] * n, [15] * n


def levy_in(n):
    return levy, [1] * n, [20] * n


# Mixed ones.

def log10s(values, *names):
    return [math.log10(values[name]) for name in names]


def mixed(random):
    """A network: a word, a switch, whole numbers, logarithms, a product that has to be right."""
    words = ("a", "b", "c", "d", "e")
    offset = dict(zip(random.permutation(words), (0.0, 0.12, 0.20, 0.30, 0.45)))
    depth = dict(zip(words, random.permutation((3, 5, 7, 9, 12))))
    good = random.permutation(("on", "off"))[0]
    units, n = int(random.integers(16, 116)), int(10 ** random.uniform(1.3, 3.0))
    rate, decay, share = random.uniform(-4, -0.8), random.uniform(-7, 0), random.uniform(0.2, 0.9)
    space = [Words("arch", words), Words("flag", ("on", "off")), Whole("depth", 1, 16),
             Whole("units", 4, 128), Whole("n", 10, 2000, True), Real("lr", 1e-5, 1.0, True),
             Real("reg", 1e-8, 10.0, True), Real("sub", 0.1, 1.0)]

    def loss(values):
        lr, reg, size = log10s(values, "lr", "reg", "n")
        loss = offset[values["arch"]]
        loss += 0.0 if values["flag"] == good else 0.08 + 0.05 * abs(lr - rate - 0.5)
        loss += 0.005 * (values["depth"] - depth[values["arch"]]) ** 2
        loss += 0.00125 * abs(values["units"] - units)
        loss += 0.10 * (lr - rate) ** 2 + 0.25 * (lr + size - rate - math.log10(n)) ** 2
        return float(loss + 0.03 * (reg - decay) ** 2 + 0.5 * (values["sub"] - share) ** 2)

    return Instance(space, loss, 0.0)


def numbers(random, space, scale=1.0):
    """A bowl over the numbers of a space with a best point in it, and ties between neighbours; and
    each word's own loss, 0 for one of them."""
    bests, weights, offsets = {}, {}, {}
    for own in space:
        weights[own.name] = scale * math.exp(random.normal(0.0, 1.0))
        if isinstance(own, Words):
            order = random.permutation(len(own.words))
            steps = numpy.linspace(0.0, 0.5, len(own.words))
            offsets[own.name] = {own.words[i]: float(step) for i, step in zip(order, steps)}
        elif isinstance(own, Real):
            bests[own.name] = random.uniform(0.1, 0.9)
        else:
            bests[own.name] = unit(own, int(random.integers(own.low, own.high + 1)))
    numeric = [own for own in space if not isinstance(own, Words)]
    tied = [(a, b, scale * random.uniform(0.5, 3.0), random.choice((-1.0, 1.0)))
            for a, b in zip(numeric, numeric[1:])]

    def bowl(values):
        apart = {own.name: unit(own, values[own.name]) - bests[own.name] for own in numeric}
        loss = sum(weights[name] * own ** 2 for name, own in apart.items())
        loss += sum(w * (apart[a.name] + sign * apart[b.name]) ** 2 for a, b, w, sign in tied)
        return loss + sum(weights[name] * of[values[name]] for name, of in offsets.items())

    return bowl


def levels(random):
    """Small whole numbers and words above all; where the bowl lies depends on one of the words."""
    space = [Words("kind", ("u", "v", "w")), Words("how", ("k", "l", "m", "n"))]
    space += [Whole(f"i{i}", 1, high) for i, high in enumerate((3, 5, 8, 12, 20))]
    space += [Real(f"x{i}", 0.0, 1.0) for i in range(3)]
    bowls = {word: numbers(random, space[1:]) for word in space[0].words}
    floors = dict(zip(random.permutation(space[0].words), (0.0, 0.15, 0.3)))
    return Instance(space, lambda v: floors[v["kind"]] + bowls[v["kind"]](v), 0.0)


def words(random):
    """Words alone, in pairs that have to fit: 16,384 configurations."""
    n, n_words = 7, 4
    names = [f"w{i}" for i in range(n)]
    space = [Words(name, tuple("abcd")) for name in names]
    alone = random.gamma(1.0, 1.0, (n, n_words))
    pairs = {pair: random.normal(0.0, 0.7, (n_words, n_words))
             for pair in itertools.combinations(range(n), 2) if random.random() < 0.4}

    def at(index):
        total = sum(alone[i][index[i]] for i in range(n))
        return total + sum(table[index[i], index[j]] for (i, j), table in pairs.items())

    grid = numpy.meshgrid(*[numpy.arange(n_words)] * n, indexing="ij")
    least = float(at(grid).min())
    return Instance(space, lambda v: float(at(["abcd".index(v[name]) for name in names])), least)


# Conditional ones.

def cond(random):
    """Four learners with parameters of their own: the best is hard to tune, the easiest has a floor
    that random search stays on."""
    roles = random.permutation(("gbm", "svm", "mlp", "knn"))
    space = [Words("algo", tuple(roles))]
    space += [Real("gbm_lr", 1e-4, 1.0, True, ("algo", "gbm")),
              Whole("gbm_leaves", 4, 256, False, ("algo", "gbm")),
              Real("gbm_sub", 0.2, 1.0, False, ("algo", "gbm")),
              Real("gbm_l2", 1e-6, 100.0, True, ("algo", "gbm")),
              Real("svm_c", 1e-4, 1e4, True, ("algo", "svm")),
              Real("svm_gamma", 1e-6, 10.0, True, ("algo", "svm")),
              Real("mlp_lr", 1e-6, 1.0, True, ("algo", "mlp")),
              Whole("mlp_layers", 1, 8, False, ("algo", "mlp")),
              Real("mlp_drop", 0.0, 0.9, False, ("algo", "mlp")),
              Words("mlp_act", ("relu", "tanh", "gelu"), ("algo", "mlp")),
              Whole("knn_k", 1, 100, False, ("algo", "knn"))]
    lr, leaves, sub = random.uniform(-3, -0.5), random.integers(24, 160), random.uniform(0.4, 0.9)
    l2, c, gamma = random.uniform(-4, 1), random.uniform(-2, 2), random.uniform(-4, 0)
    mlp_lr, layers, drop = random.uniform(-5, -1), random.integers(2, 7), random.uniform(0.1, 0.7)
    k, act = random.integers(5, 90), dict(zip(random.permutation(("relu", "tanh", "gelu")),
                                              (0.0, 0.01, 0.06)))

    def loss(values):
        match values["algo"]:
            case "gbm":
                rate, decay = log10s(values, "gbm_lr", "gbm_l2")
                return float(0.30 * (rate - lr) ** 2 + (values["gbm_leaves"] - leaves) ** 2 / 6400
                             + 0.6 * (values["gbm_sub"] - sub) ** 2 + 0.05 * (decay - l2) ** 2)
            case "svm":
                cost, width = log10s(values, "svm_c", "svm_gamma")
                return 0.08 + 0.10 * (cost - c) ** 2 + 0.20 * (cost + width - c - gamma) ** 2
            case "mlp":
                [rate] = log10s(values, "mlp_lr")
                return float(0.04 + 0.25 * (rate - mlp_lr) ** 2 + act[values["mlp_act"]]
                             + 0.05 * (values["mlp_layers"] - layers) ** 2
                             + 0.4 * (values["mlp_drop"] - drop) ** 2)
            case _:
                return float(0.15 + 0.002 * abs(values["knn_k"] - k))

    return Instance(space, loss, 0.0)


def some_numbers(random, prefix, n, under):
    """So many parameters of all kinds, under a word."""
    kinds = [lambda name: Real(name, 0.0, 1.0, False, under),
             lambda name: Real(name, 1e-5, 10.0, True, under),
             lambda name: Whole(name, 1, 30, False, under),
             lambda name: Whole(name, 4, 2048, True, under),
             lambda name: Words(name, ("p", "q", "r"), under)]
    return [kinds[random.integers(len(kinds))](f"{prefix}_{i}") for i in range(n)]


def automl(random):
    """Six learners with 1 to 7 parameters, each with a floor; losses saturate."""
    names = tuple(random.permutation(("knn", "tree", "linear", "svm", "forest", "boost")))
    space = [Words("learner", names)]
    floors, bowls = {}, {}
    sizes = dict(knn=1, tree=2, linear=2, svm=3, forest=4, boost=7)
    order = random.permutation(names)
    for name in names:
        own = some_numbers(random, name, sizes[name], ("learner", name))
        space += own
        bowls[name] = numbers(random, own, 2.0)
        floors[name] = 0.0 if name == order[0] else random.uniform(0.02, 0.25)

    def loss(values):
        depth = bowls[values["learner"]](values)
        return float(floors[values["learner"]] + depth / (1.0 + depth))

    return Instance(space, loss, 0.0)


def nested(random):
    """Choices under choices: five leaves at three depths, and parameters at each of them."""
    space = [Words("model", ("linear", "tree")),
             Words("kind", ("boost", "forest", "single"), ("model", "tree")),
             Words("grow", ("deep", "wide"), ("kind", "boost"))]
    sizes = {("model", "linear"): 2, ("model", "tree"): 1, ("kind", "boost"): 2,
             ("kind", "forest"): 2, ("kind", "single"): 1, ("grow", "deep"): 2, ("grow", "wide"): 2}
    for under, n in sizes.items():
        space += some_numbers(random, under[1], n, under)
    bowls = {under: numbers(random, [own for own in children(space, *under)
                                     if own.name not in ("kind", "grow")]) for under in sizes}
    leaves = [("model", "linear"), ("kind", "forest"), ("kind", "single"), ("grow", "deep"),
              ("grow", "wide")]
    floors = {under: 0.0 for under in sizes}
    best = leaves[random.integers(len(leaves))]
    floors.update({leaf: random.uniform(0.05, 0.4) for leaf in leaves if leaf != best})

    def loss(values):
        active = [under for under in sizes if values.get(under[0]) == under[1]]
        return float(sum(floors[under] + bowls[under](values) for under in active))

    return Instance(space, loss, 0.0)


# Many dimensions.

def sparse40(random):
    """40 parameters of all kinds, of which 6 matter."""
    space = some_numbers(random, "x", 40, None)
    matter = [space[i] for i in random.permutation(40)[:6]]
    return Instance(space, numbers(random, matter), 0.0)


# Those of which trials fail, or tell nothing at first.

def window(n, half):
    """A bowl in a window of the cube, of so much to each side; outside of it trials fail."""
    def make(random):
        middle = random.uniform(half, 1.0 - half, n)
        best = middle + random.uniform(-0.7, 0.7, n) * half
        weights = random.gamma(2.0, 1.0, n)

        def loss(values):
            units = numpy.array([values[f"x{i}"] for i in range(n)])
            is_inside = (abs(units - middle) < half).all()
            return float(weights @ (units - best) ** 2) if is_inside else math.nan

        return Instance(box(n), loss, 0.0)

    return make


def border(random):
    """Half of the space fails, and the best that does not lies on the border."""
    n = 5
    best, normal = random.uniform(0.2, 0.8, n), random.normal(size=n)
    normal /= numpy.linalg.norm(normal)
    middle = best + 0.1 * normal

    def loss(values):
        units = numpy.array([values[f"x{i}"] for i in range(n)])
        is_over = (units - best) @ normal > 0.0
        return math.nan if is_over else float(((units - middle) ** 2).sum())

    return Instance(box(n), loss, 0.01)


def by_chance(random):
    """A fifth of the trials fails wherever they are."""
    instance = moved(*HARTMANN6)(random)
    salt = int(random.integers(2 ** 31))

    def loss(values):
        drawn = zlib.crc32(repr((salt, sorted(values.items()))).encode())
        return math.nan if drawn % 5 == 0 else instance.loss(values)

    return Instance(instance.space, loss, instance.least)


def plateau(random):
    """The loss of chance, unless three of five parameters are right at once: 3 % of the space."""
    matter, places = random.permutation(5)[:3], random.uniform(0.2, 0.8, 5)

    def loss(values):
        apart = [values[f"x{i}"] - places[i] for i in range(5)]
        if any(abs(apart[i]) > 0.15 for i in matter):
            return 1.0
        return sum((20.0 if i in matter else 0.5) * apart[i] ** 2 for i in range(5)) / 2.0

    return Instance(box(5), loss, 0.0)


# Those at which a model settles too soon: exact functions that look noisy, with the best at bounds; a
# branch that is good only where it is tuned; parameters that ought to be on a log scale.

def rough(random, space):
    """A bowl around a corner, and losses that are exact but jump from one thousandth to the next."""
    corner = {own.name: float(random.integers(2)) for own in space}
    salt = int(random.integers(2 ** 31))

    def loss(values):
        units = {own.name: unit(own, values[own.name]) for own in space}
        jump = zlib.crc32(repr((salt, [f"{u:.3f}" for u in units.values()])).encode()) / 2 ** 32
        return sum((u - corner[name]) ** 2 for name, u in units.items()) + 0.1 * jump

    return Instance(space, loss, 0.0)


def rough_box(n):
    return lambda random: rough(random, box(n))


def rough_boosting(random):
    return rough(random, [Whole("n", 10, 60), Real("lr", 0.01, 0.5, True), Whole("depth", 1, 6)])


def steep(random):
    """Of two branches one is good anywhere, and the other better at one place."""
    names = tuple(random.permutation(("even", "steep")))
    space = [Words("kind", names), Real("x", 0.0, 1.0, False, ("kind", "even")),
             Real("z", 0.0, 1.0, False, ("kind", "steep"))]
    x, z = random.uniform(0.1, 0.9, 2)

    def loss(values):
        if values["kind"] == "even":
            return 0.1 + (values["x"] - x) ** 2
        return 20.0 * abs(values["z"] - z)

    return Instance(space, loss, 0.0)


def misscaled(random):
    """Two rates that are searched as they are, and not on the log scale on which they matter."""
    places = random.uniform(-3.5, -1.0, 2)
    space = [Real(name, 1e-5, 1.0) for name in "ab"]
    return Instance(space, lambda v: sum((log - place) ** 2 for log, place
                                         in zip(log10s(v, "a", "b"), places)), 0.0)


def ripples(z):
    return float((z ** 2 - 10.0 * numpy.cos(2.0 * math.pi * z) + 10.0).sum())


# Those of very many parameters.

def wide(n, n_that_matter, has_numbers_alone=False):
    """So many parameters, of all kinds or numbers alone, of which so many matter."""
    def make(random):
        space = box(n) if has_numbers_alone else some_numbers(random, "x", n, None)
        matter = [space[i] for i in random.permutation(n)[:n_that_matter]]
        return Instance(space, numbers(random, matter), 0.0)

    return make


PROBLEMS = [
    Problem("branin", "numeric", moved(*BRANIN)),
    Problem("hartmann6", "numeric", moved(*HARTMANN6)),
    Problem("levy8", "numeric", moved(*levy_in(8))),
    Problem("rosenbrock5", "numeric", moved(*rosenbrock_in(5))),
    Problem("ackley10", "numeric", moved(*ackley_in(10))),
    Problem("hartmann6_rotated", "numeric", moved(*HARTMANN6, is_rotated=True)),
    Problem("levy8_rotated", "numeric", moved(*levy_in(8), is_rotated=True)),
    Problem("rosenbrock5_rotated", "numeric", moved(*rosenbrock_in(5), is_rotated=True)),
    Problem("ackley10_rotated", "numeric", moved(*ackley_in(10), is_rotated=True)),
    Problem("mixed", "mixed", mixed),
    Problem("levels", "mixed", levels),
    Problem("words", "mixed", words),
    Problem("cond", "conditional", cond),
    Problem("automl", "conditional", automl),
    Problem("nested", "conditional", nested),
    Problem("hartmann6_in_50", "many-dimensional", moved(*HARTMANN6, n_idle=44)),
    Problem("levy30", "many-dimensional", moved(*levy_in(30))),
    Problem("rosenbrock20_rotated", "many-dimensional",
            moved(*rosenbrock_in(20), is_rotated=True)),
    Problem("sparse40", "many-dimensional", sparse40),
    Problem("noisy_branin", "noisy", moved(*BRANIN), is_noisy=True),
    Problem("noisy_hartmann6", "noisy", moved(*HARTMANN6), is_noisy=True),
    Problem("noisy_levy8", "noisy", moved(*levy_in(8)), is_noisy=True),
    Problem("noisy_mixed", "noisy", mixed, is_noisy=True),
    Problem("window4", "failing", window(4, 0.37)),
    Problem("window5", "failing", window(5, 0.25)),
    Problem("border", "failing", border),
    Problem("by_chance", "failing", by_chance),
    Problem("plateau", "failing", plateau),
    Problem("rough2", "stuck", rough_box(2)),
    Problem("rough4", "stuck", rough_box(4)),
    Problem("rough_boosting", "stuck", rough_boosting),
    Problem("steep", "stuck", steep),
    Problem("misscaled", "stuck", misscaled),
    Problem("ripples4", "stuck", moved(ripples, [0] * 4, [10.24] * 4)),
    Problem("numbers60", "wide", wide(60, 60, True)),
    Problem("kinds60", "wide", wide(60, 60)),
    Problem("sparse100", "wide", wide(100, 4, True)),
    Problem("sparse200", "wide", wide(200, 8)),
]
