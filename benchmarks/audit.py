"""Audit networks of other libraries, each with one fault after another: architecture × fault.

``python -m benchmarks.audit`` builds each network from its configuration, small and with random
weights. It audits the network without a fault, then with each fault, and writes the expected and
the found verdicts to ``audit.json``, and a table to ``audit.md``. The expected verdicts follow from
the mathematics: a product with two zero factors has gradient zero in both, and equal units that
are treated alike stay equal.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import peft
import torch
import torch.nn.functional as F
import transformers as tf
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from torch import Tensor, nn

from benchmarks.table import audited
from zeroinit.auditing import audit

FAULTS = (
    "layer zeroed twice over",
    "constant layer",
    "q = k = 0",
    "both LoRA factors zero",
    "γ = 0 before a ReLU",
    "two identical experts",
    "two identical heads",
)
DEAD = "dead"
#: The parameters of each of the three maps of an attention layer, with biases and without.
BIASED: dict[str, Sequence[str]] = {x: ("weight", "bias") for x in "qkv"}
PLAIN: dict[str, Sequence[str]] = {x: ("weight",) for x in "qkv"}
#: The parameters of a Mamba mixer that hold a number for every channel.
SCAN = (
    "A_log",
    "D",
    "conv1d.weight",
    "conv1d.bias",
    "x_proj.weight",
    "dt_proj.weight",
    "dt_proj.bias",
)
TABLE = Path(__file__).with_name("audit.json")

Inject = Callable[[nn.Module], None]


@dataclass(frozen=True)
class Fault:
    """A fault, the verdicts it must get, and the configuration that it needs."""

    inject: Inject
    expected: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    training: bool = True


@dataclass(frozen=True)
class Architecture:
    """A network of another library: how to build it, its loss, and the places of its faults."""

    name: str
    build: Callable[..., nn.Module]
    loss: Callable[[nn.Module], Tensor]
    faults: Mapping[str, Fault]


@torch.no_grad()
def fill(names: Sequence[str], value: float, model: nn.Module) -> None:
    """Fill the parameters with a value."""
    for name in names:
        model.get_parameter(name).fill_(value)


@torch.no_grad()
def forget_scores(names: Sequence[str], model: nn.Module) -> None:
    """Zero the first two thirds, q and k, of a layer that computes q, k and v at once."""
    for name in names:
        for part in model.get_parameter(name).chunk(3, -1)[:2]:
            part.zero_()


@torch.no_grad()
def repeat(places: Sequence[tuple[str, int, int]], model: nn.Module) -> None:
    """Copy the first head into the second: a parameter's name, its parts, and their axis."""
    for name, parts, axis in places:
        for part in model.get_parameter(name).chunk(parts, axis):
            first, second = part.chunk(2, axis)
            second.copy_(first)


@torch.no_grad()
def repeat_expert(names: Sequence[str], model: nn.Module) -> None:
    """Copy the first expert, and its row of the router, into the second."""
    for name in names:
        parameter = model.get_parameter(name)
        parameter[1] = parameter[0]


@torch.no_grad()
def repeat_channel(name: str, model: nn.Module) -> None:
    """Give every channel of a Mamba mixer the numbers of the first."""
    mixer = model.get_submodule(name)
    for half in mixer.get_parameter("in_proj.weight").chunk(2):
        half.copy_(half[:1].clone())
    for own in SCAN:
        axis = int(own == "x_proj.weight")
        parameter = mixer.get_parameter(own)
        parameter.copy_(parameter.narrow(axis, 0, 1).clone())
    out = mixer.get_parameter("out_proj.weight")
    out.copy_(out[:, :1].clone())


def under(prefix: str, *names: str) -> list[str]:
    """Return the names of parameters below a module."""
    return [f"{prefix}.{name}" for name in names]


def configured(
    network: Callable[[Any], nn.Module], config: Callable[..., Any], **settings: Any
) -> Callable[..., nn.Module]:
    """Return a function that builds a network from its configuration with some changes."""
    return lambda **changes: network(config(**(settings | changes)))


def dead(names: Sequence[str], *followers: str, **config: Any) -> Fault:
    """Zero the parameters: they stay zero, and the followers get no gradient from elsewhere."""
    return Fault(partial(fill, names, 0.0), dict.fromkeys([*names, *followers], DEAD), config)


def constant(into: Sequence[str], out: Sequence[str], verdict: str) -> Fault:
    """Give every unit of a hidden layer the same weights, in and out; without dropout."""
    inject = partial(fill, [*into, *out], 0.1)
    return Fault(inject, dict.fromkeys(into, verdict), training=False)


def twin_heads(into: Sequence[str], out: Sequence[str], *, parts: int = 1, axis: int = 0) -> Fault:
    """Make two heads of 8 units equal; dropout, which would make them differ, is off."""
    places = [(name, parts, 0 if name.endswith("bias") else axis) for name in into]
    places += [(name, 1, 1 - axis) for name in out]
    verdict = f"twins ({16 * parts} units act as {8 * parts})"
    return Fault(partial(repeat, places), dict.fromkeys(into, verdict), training=False)


def feed_forward(
    into: Sequence[str],
    out: Sequence[str],
    width: int,
    norm: Sequence[str],
    before: Sequence[str] = (),
    **config: str,
) -> dict[str, Fault]:
    """Return the faults of a branch: its two layers, the norm, and parameters before the branch.

    A branch whose last layers are dead sends no gradient back to its first.
    """
    return {
        FAULTS[0]: dead([*into, *out], *norm, *before),
        FAULTS[1]: constant(into, out, f"twins ({width} units act as 1)"),
        FAULTS[4]: dead(norm, *into, *out, *before, **config),
    }


def attention(
    q: str, k: str, v: str, out: str, *, own: Mapping[str, Sequence[str]] = BIASED
) -> dict[str, Fault]:
    """Return the faults of an attention whose q, k and v are layers of their own."""
    query, key, value = (
        [f"{layer}.{o}" for o in own[x]] for x, layer in zip("qkv", (q, k, v), strict=True)
    )
    return {
        FAULTS[2]: dead([*query, *key]),
        FAULTS[6]: twin_heads([*query, *key, *value], [f"{out}.weight"]),
    }


def own_loss(**batch: Tensor | bool) -> Callable[[nn.Module], Tensor]:
    """Return the loss that a network computes itself."""

    def loss(model: nn.Module) -> Tensor:
        value = model(**batch).loss
        assert isinstance(value, Tensor)
        return value

    return loss


def architectures() -> Iterator[Architecture]:
    """Give the networks, with batches drawn from a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(3, 32, (4, 8), generator=generator)
    labels = torch.tensor([0, 1, 2, 0])
    pictures = torch.randn(4, 3, 16, 16, generator=generator)
    sound = torch.randn(4, 4, 16, generator=generator)
    noise = torch.randn(4, 4, 8, 8, generator=generator)
    small = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
    }
    text = small | {"vocab_size": 32, "max_position_embeddings": 8}
    language = text | {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
    vision = small | {"image_size": 16, "patch_size": 4}
    read = own_loss(input_ids=words, labels=words)
    look = own_loss(pixel_values=pictures, labels=labels)

    at = partial(under, "transformer.h.0")
    into = at("mlp.c_fc.weight", "mlp.c_fc.bias")
    fused = at("attn.c_attn.weight", "attn.c_attn.bias")
    forget = partial(forget_scores, fused)
    settings = dict(n_layer=2, n_embd=16, n_head=2, n_positions=8, vocab_size=32)
    gpt2 = configured(tf.GPT2LMHeadModel, tf.GPT2Config, **settings, bos_token_id=1, eos_token_id=2)
    yield Architecture(
        "GPT-2",
        gpt2,
        read,
        feed_forward(
            into,
            at("mlp.c_proj.weight"),
            64,
            at("ln_2.weight", "ln_2.bias"),
            activation_function="relu",
        )
        | {
            FAULTS[2]: Fault(forget, {fused[0]: "dead (32 of 48 units)"}),
            FAULTS[6]: twin_heads(fused, at("attn.c_proj.weight"), parts=3, axis=1),
        },
    )

    lora = peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    factors = [
        f"base_model.model.transformer.h.0.attn.c_attn.lora_{x}.default.weight" for x in "AB"
    ]
    yield Architecture(
        "GPT-2 with LoRA",
        lambda: peft.get_peft_model(gpt2(), lora),
        read,
        {FAULTS[3]: dead(factors)},
    )

    at = partial(under, "bert.encoder.layer.0")
    faults = feed_forward(
        at("intermediate.dense.weight", "intermediate.dense.bias"),
        at("output.dense.weight"),
        24,
        [],
    )
    del faults[FAULTS[4]]  # its norms get a gradient through the residual sum, too
    yield Architecture(
        "BERT",
        configured(tf.BertForSequenceClassification, tf.BertConfig, **text, num_labels=3),
        own_loss(input_ids=words, labels=labels),
        faults
        | attention(
            *at(*(f"attention.self.{x}" for x in ("query", "key", "value"))),
            *at("attention.output.dense"),
        ),
    )

    at = partial(under, "encoder.block.0.layer")
    scores = [f"encoder.block.{i}.layer.0.SelfAttention.{x}.weight" for i in (0, 1) for x in "qkv"]
    back = [f"encoder.block.{i}.layer.0.SelfAttention.o.weight" for i in (0, 1)]
    back += at("0.SelfAttention.relative_attention_bias.weight")  # one for the heads of all blocks
    settings = dict(d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, vocab_size=32)
    yield Architecture(
        "T5",
        configured(
            tf.T5ForConditionalGeneration, tf.T5Config, **settings, decoder_start_token_id=0
        ),
        read,
        feed_forward(
            at("1.DenseReluDense.wi.weight"),
            at("1.DenseReluDense.wo.weight"),
            24,
            at("1.layer_norm.weight"),
        )
        | {FAULTS[2]: dead(scores[:2]), FAULTS[6]: twin_heads(scores, back)},
    )

    at = partial(under, "vit.layers.0")
    yield Architecture(
        "ViT",
        configured(tf.ViTForImageClassification, tf.ViTConfig, **vision, num_labels=3),
        look,
        feed_forward(
            at("mlp.fc1.weight", "mlp.fc1.bias"),
            at("mlp.fc2.weight"),
            24,
            at("layernorm_after.weight", "layernorm_after.bias"),
            hidden_act="relu",
        )
        | attention(*at(*(f"attention.{x}_proj" for x in "qkvo"))),
    )

    at = partial(under, "model.layers.0")
    gates = at("mlp.gate_proj.weight", "mlp.up_proj.weight")
    yield Architecture(
        "Llama",
        configured(tf.LlamaForCausalLM, tf.LlamaConfig, **language),
        read,
        feed_forward(gates, at("mlp.down_proj.weight"), 24, at("post_attention_layernorm.weight"))
        | attention(*at(*(f"self_attn.{x}_proj" for x in "qkvo")), own=PLAIN),
    )

    norm = at("post_attention_layernorm.weight")
    router, *experts = at("mlp.gate.weight", "mlp.experts.gate_up_proj", "mlp.experts.down_proj")
    yield Architecture(
        "Mixtral",
        configured(
            tf.MixtralForCausalLM,
            tf.MixtralConfig,
            **language,
            num_local_experts=4,
            num_experts_per_tok=2,
        ),
        read,
        {
            FAULTS[0]: dead(experts, router, *norm),
            # an expert's 24 units of the gate are twins, and so are its 24 gated units
            FAULTS[1]: constant(experts[:1], experts[1:], "twins (192 units act as 8)"),
            FAULTS[4]: dead(norm, router, *experts),
            FAULTS[5]: Fault(  # all four experts answer: no tie can make them differ
                partial(repeat_expert, [router, *experts]),
                {
                    router: "twins (4 units act as 3)",
                    experts[0]: "twins (192 units act as 144)",
                    experts[1]: "twins (64 units act as 48)",
                },
                {"num_experts_per_tok": 4},
            ),
        }
        | attention(*at(*(f"self_attn.{x}_proj" for x in "qkvo")), own=PLAIN),
    )

    at = partial(under, "resnet.encoder.stages.0.layers.0.layer")
    inner, outer = at("0.convolution.weight", "1.convolution.weight")
    norm = at("0.normalization.weight", "0.normalization.bias")
    after = at("1.normalization.weight")  # it scales activations that are zero without their mean
    yield Architecture(
        "ResNet",
        configured(
            tf.ResNetForImageClassification,
            tf.ResNetConfig,
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[2, 2],
            layer_type="basic",
            num_labels=3,
        ),
        look,
        {
            FAULTS[0]: dead([inner, outer], *norm, *after),
            FAULTS[1]: constant([inner], [outer], "twins (8 units act as 1)"),
            FAULTS[4]: dead(norm, inner, outer, *after),
        },
    )

    at = partial(under, "convnext.encoder.stages.0.layers.0")
    yield Architecture(
        "ConvNeXt",
        configured(
            tf.ConvNextForImageClassification,
            tf.ConvNextConfig,
            hidden_sizes=[8, 16],
            depths=[2, 2],
            num_stages=2,
            patch_size=2,
            num_labels=3,
        ),
        look,
        feed_forward(
            at("pwconv1.weight", "pwconv1.bias"),
            at("pwconv2.weight"),
            32,
            at("layernorm.weight", "layernorm.bias"),
            at("dwconv.weight", "dwconv.bias"),
            hidden_act="relu",
        ),
    )

    at = partial(under, "model.encoder.layers.0")
    yield Architecture(
        "Whisper",
        configured(
            tf.WhisperForConditionalGeneration,
            tf.WhisperConfig,
            vocab_size=32,
            num_mel_bins=4,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            d_model=16,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_source_positions=8,
            max_target_positions=8,
            decoder_start_token_id=1,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            begin_suppress_tokens=None,
        ),
        own_loss(input_features=sound, labels=words),
        feed_forward(
            at("fc1.weight", "fc1.bias"),
            at("fc2.weight"),
            24,
            at("final_layer_norm.weight", "final_layer_norm.bias"),
            activation_function="relu",
        )
        | attention(
            *at(*(f"self_attn.{x}" for x in ("q_proj", "k_proj", "v_proj", "out_proj"))),
            own=BIASED | {"k": ("weight",)},
        ),
    )

    at = partial(under, "vision_model.encoder.layers.0")
    tower = dict(text) | {"bos_token_id": 1, "eos_token_id": 2}
    yield Architecture(
        "CLIP",
        lambda **changes: tf.CLIPModel(
            tf.CLIPConfig(
                text_config=tower | changes, vision_config=vision | changes, projection_dim=8
            )
        ),
        own_loss(input_ids=words, pixel_values=pictures, return_loss=True),
        feed_forward(
            at("mlp.fc1.weight", "mlp.fc1.bias"),
            at("mlp.fc2.weight"),
            24,
            at("layer_norm2.weight", "layer_norm2.bias"),
            hidden_act="relu",
        )
        | attention(*at(*(f"self_attn.{x}" for x in ("q_proj", "k_proj", "v_proj", "out_proj")))),
    )

    at = partial(under, "backbone.layers.0")
    into = at("mixer.in_proj.weight")
    out, norm = at("mixer.out_proj.weight"), at("norm.weight")
    scan = at(*(f"mixer.{x}" for x in SCAN))
    channels = at(*(f"mixer.{x}" for x in SCAN if x not in ("D", "x_proj.weight")))
    twins = dict.fromkeys(channels, "twins (32 units act as 1)")
    yield Architecture(
        "Mamba",
        configured(
            tf.MambaForCausalLM,
            tf.MambaConfig,
            vocab_size=32,
            hidden_size=16,
            state_size=4,
            num_hidden_layers=2,
            expand=2,
            bos_token_id=1,
            eos_token_id=2,
        ),
        read,
        {
            FAULTS[0]: dead([*into, *out], *scan, *norm),
            FAULTS[1]: Fault(
                partial(repeat_channel, "backbone.layers.0.mixer"),
                {into[0]: "twins (64 units act as 2)"} | twins,
            ),
            FAULTS[4]: dead(norm, *into, *scan, *out),
        },
    )

    at = partial(under, "transformer_blocks.0")

    def denoise(model: nn.Module) -> Tensor:
        sample = model(noise, timestep=torch.tensor([1, 2, 3, 4]), class_labels=labels).sample
        return F.mse_loss(sample[:, :4], noise)

    yield Architecture(
        "DiT",
        partial(
            DiTTransformer2DModel,
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            num_layers=2,
            sample_size=8,
            num_embeds_ada_norm=10,
        ),
        denoise,
        {
            FAULTS[0]: dead(
                at("ff.net.0.proj.weight", "ff.net.0.proj.bias", "ff.net.2.weight"),
            ),
            FAULTS[1]: constant(
                at("ff.net.0.proj.weight", "ff.net.0.proj.bias"),
                at("ff.net.2.weight"),
                "twins (64 units act as 1)",
            ),
        }
        | attention(*at(*(f"attn1.{x}" for x in ("to_q", "to_k", "to_v", "to_out.0")))),
    )


def alarms(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> dict[str, str]:
    """Return the faulty verdicts by the names of their parameters."""
    return {finding.name: finding.verdict for finding in audit(model, loss).faults}


def examine(architecture: Architecture) -> dict[str, Any]:
    """Return the row of an architecture: its alarms without a fault, and with each fault."""
    torch.manual_seed(0)
    healthy = architecture.build()
    faults: dict[str, Any] = dict.fromkeys(FAULTS)
    for name, fault in architecture.faults.items():
        torch.manual_seed(0)
        model = architecture.build(**fault.config).train(fault.training)
        fault.inject(model)
        found = alarms(model, architecture.loss)
        faults[name] = {
            "expected": fault.expected,
            "found": {n: v for n, v in found.items() if n in fault.expected},
            "hit": fault.expected.items() <= found.items(),
            "also": {n: v for n, v in found.items() if n not in fault.expected},
        }
    return {
        "name": architecture.name,
        "parameters": sum(p.numel() for p in healthy.parameters()),
        "healthy_alarms": alarms(healthy.train(), architecture.loss),
        "faults": faults,
    }


def main() -> None:
    """Write the verdicts, and the table of them."""
    rows = [examine(architecture) for architecture in architectures()]
    written = json.dumps({"architectures": rows}, indent=1, ensure_ascii=False)
    TABLE.write_text(written + "\n", "utf-8")
    TABLE.with_suffix(".md").write_text(audited(rows), "utf-8")


if __name__ == "__main__":
    main()
