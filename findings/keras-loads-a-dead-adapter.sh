#!/usr/bin/env bash
# Loading weights into a Keras model with LoRA sets both of its factors to zero: the adapter is dead.
#
# Versions:  keras 3.15.1, jax 0.10.2, Linux x86-64, CPU.
# Expected:  whether LoRA is turned on before or after the base weights are loaded makes no difference: A
#            is random, B is zero, and training moves B first. A model with LoRA that was trained, saved
#            and loaded either has its A and B again, or has them in its kernel and a fresh start.
# Seen:      load_weights and load_model set A and B to zero, in Dense, EinsumDense, Embedding and
#            Conv2D. What the model says is right, since saving adds AB to the kernel; but with both
#            factors at zero neither has a gradient. After 100 epochs of Adam both are exactly zero, and
#            the kernels, which are frozen, are what they were: only the biases have learned. There is no
#            warning. LoRA turned on after loading trains as it should. If a loaded model goes on with the
#            Adam that was saved with it, the averages in it push A and B off zero, and it hardly learns
#            (kernels moved by 0.01, by 1.4 without saving); with SGD they stay at zero. Dense and
#            Embedding also lose lora_alpha: it was 16, and after loading it is the rank, 4.
# Exit:      0 if all of this is still so, 1 if not.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q keras==3.15.1 jax==0.10.2

KERAS_BACKEND=jax "$place/venv/bin/python" - "$place" <<'PYTHON'
import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
generator = np.random.default_rng(0)
x, y = (generator.standard_normal((64, n)).astype("float32") for n in (8, 3))
base, tuned = sys.argv[1] + "/base.weights.h5", sys.argv[1] + "/tuned.keras"


def network():
    layers = keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(3)
    return keras.Sequential([keras.Input((8,)), *layers])


def lora(model):
    for layer in model.layers:
        layer.enable_lora(4, lora_alpha=16)


def factors(layer):
    pair = [v for v in layer.weights if v.name.startswith("lora_")]
    return [float(abs(np.asarray(v)).max()) for v in pair]


def train(model, what, optimizer="adam"):
    starts = [np.asarray(layer.kernel) for layer in model.layers]
    start = [n for layer in model.layers for n in factors(layer)]
    if optimizer:
        model.compile(optimizer, "mse")
        model.optimizer.learning_rate = 0.01
    loss = model.fit(x, y, epochs=100, verbose=0).history["loss"]
    end = [n for layer in model.layers for n in factors(layer)]
    moved = max(abs(np.asarray(m.kernel) - k).max() for m, k in zip(model.layers, starts))
    print(f"{what}: loss {loss[0]:.2f} -> {loss[-1]:.2f}; largest |A|, |B|, |A|, |B|"
          f" {np.round(start, 2).tolist()} -> {np.round(end, 2).tolist()}; kernels moved by {moved:.2f}")
    return any(start), any(end), moved > 0, loss[-1]


network().save_weights(base)
first = network()
first.load_weights(base)
lora(first)
good = train(first, "base weights loaded, then LoRA")
second = network()
lora(second)
second.load_weights(base)
dead = train(second, "LoRA, then base weights loaded")
first.save(tuned)
third = keras.saving.load_model(tuned)
same = abs(third.predict(x, verbose=0) - first.predict(x, verbose=0)).max()
print(f"trained with LoRA, saved, loaded: says the same but for {same:.0e}")
again = train(third, "compiled anew and trained on")
whole = train(first, "the one that was saved, trained on", None)
woken = train(keras.saving.load_model(tuned), "loaded, trained on with the loaded Adam", None)
train(first, "trained on with SGD", "sgd")
first.save(tuned)
plain = train(keras.saving.load_model(tuned), "saved, loaded, trained on with the loaded SGD", None)
kept = good[:3] == (True, True, True) and dead[:3] == again[:3] == (False, False, False)
kept &= plain[:3] == (False, False, False) and woken[:3] == (False, True, True) and whole[2]
kept &= same < 1e-5 and dead[3] > 1.5 * good[3] and again[3] > 1.1 * whole[3]

for make, given, shape, alpha in (
    (keras.layers.Dense, (3,), (8,), 4),
    (keras.layers.Embedding, (8, 3), (5,), 4),
    (keras.layers.EinsumDense, ("ab,bc->ac", 3), (8,), 16),
    (keras.layers.Conv2D, (3, 3), (5, 5, 2), 16),
):
    model = keras.Sequential([keras.Input(shape), make(*given)])
    lora(model)
    model.save(tuned)
    layer, after = model.layers[0], keras.saving.load_model(tuned).layers[0]
    print(f"{make.__name__}: largest |A| and |B|, before and after loading", np.round(factors(layer), 2),
          factors(after), "lora_alpha", layer.lora_alpha, after.lora_alpha)
    kept &= factors(layer)[0] > 0 and factors(after) == [0, 0]
    kept &= layer.lora_alpha == 16 and after.lora_alpha == alpha
sys.exit(not kept)
PYTHON
