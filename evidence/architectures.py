"""Networks of other libraries, each small and made from its configuration, with its faults."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import peft
import torch
import torch.nn.functional as F
import transformers as tf
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from torch import Tensor, nn

from evidence.faults import (
    BIASED,
    DEAD,
    PLAIN,
    SCAN,
    UNUSED,
    Fault,
    Loss,
    attention,
    constant,
    dead,
    feed_forward,
    fill_frozen,
    forget_scores,
    in_steps,
    pass_on,
    repeat_channel,
    repeat_expert,
    scale,
    share,
    spare,
    tied_zero,
    turn_off,
    twin_heads,
    zero_embedding,
)


@dataclass(frozen=True)
class Architecture:
    """A network of another library: how to build it, its loss, and its faults by their names."""

    name: str
    build: Callable[..., nn.Module]
    loss: Loss
    faults: Mapping[str, Fault]


def under(prefix: str, *names: str) -> list[str]:
    """Return the names of parameters below a module."""
    return [f"{prefix}.{name}" for name in names]


def configured(
    network: Callable[[Any], nn.Module], config: Callable[..., Any], **settings: Any
) -> Callable[..., nn.Module]:
    """Return a function that builds a network from its configuration with some changes."""
    return lambda **changes: network(config(**(settings | changes)))


def own_loss(**batch: Tensor | bool) -> Loss:
    """Return the loss that a network computes itself."""

    def loss(model: nn.Module) -> Tensor:
        value = model(**batch).loss
        assert isinstance(value, Tensor)
        return value

    return loss


def architectures() -> Iterator[Architecture]:
    """Give the networks, with batches drawn from a fixed seed."""
    for found in _with_faults_of_their_own():
        faults = dict(found.faults) | {"module that is never called": spare()}
        yield Architecture(found.name, found.build, found.loss, faults)


def _with_faults_of_their_own() -> Iterator[Architecture]:
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
            linear=False,
            activation_function="relu",
        )
        | {
            "zero embedding": zero_embedding("transformer.wte.weight"),
            "q = k = 0": Fault(forget, {fused[0]: "dead (32 of 48 units)"}, cause=["these units"]),
            "two identical heads": twin_heads(fused, at("attn.c_proj.weight"), parts=3, axis=1),
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
        {"both LoRA factors zero": dead(factors)},
    )

    at = partial(under, "bert.encoder.layer.0")
    faults = feed_forward(
        at("intermediate.dense.weight", "intermediate.dense.bias"),
        at("output.dense.weight"),
        24,  # no norm, for those of BERT get a gradient through the residual sum, too
        hidden_act="relu",
    )
    pooler = ["bert.pooler.dense.weight"]
    scores = [
        f"bert.encoder.layer.{i}.attention.self.{x}.{own}"
        for i in (0, 1)
        for x in ("query", "key")
        for own in BIASED["q"]
    ]
    faults |= {
        "saturated tanh": Fault(
            partial(scale, pooler, 1e8),
            {"classifier.weight": "fine", "classifier.bias": "fine"},
            rest=DEAD,
            cause=["saturated"],
        ),
        "one token to attend to": Fault(
            lambda _: None,
            dict.fromkeys(scores, DEAD),
            cause=["softmax over one logit"],
            loss=own_loss(input_ids=words[:, :1], labels=labels),
        ),
        "zero embedding": zero_embedding("bert.embeddings.word_embeddings.weight"),
    }
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
        | {
            "q = k = 0": dead(scores[:2]),
            "two identical heads": twin_heads(scores, back),
            "tied embedding zero": tied_zero("shared.weight"),
        },
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
        | attention(*at(*(f"self_attn.{x}_proj" for x in "qkvo")), own=PLAIN)
        | {"zero embedding": zero_embedding("model.embed_tokens.weight")},
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
            "layer zeroed twice over": dead(experts, router, *norm),
            # an expert's 24 units of the gate are twins, and so are its 24 gated units
            "constant layer": constant(experts[:1], experts[1:], "twins (192 units act as 8)"),
            "γ = 0 before a ReLU": dead(norm, router, *experts),
            "two identical experts": Fault(  # all four experts answer: no tie can make them differ
                partial(repeat_expert, [router, *experts]),
                {
                    router: "twins (4 units act as 3)",
                    experts[0]: "twins (192 units act as 144)",
                    experts[1]: "twins (64 units act as 48)",
                },
                {"num_experts_per_tok": 4},
            ),
            "router that renormalizes its one choice": Fault(
                lambda _: None, {router: UNUSED}, {"num_experts_per_tok": 1}, cause=["cancel"]
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
            "layer zeroed twice over": dead([inner, outer], *norm, *after),
            "constant layer": constant([inner], [outer], "twins (8 units act as 1)"),
            "frozen zero at the end of a branch": Fault(  # as a DETR's backbone has it
                partial(fill_frozen, [*after, after[0].replace("weight", "bias")], 0.0),
                dict.fromkeys([inner, outer, *norm], DEAD),
                cause=[f"{after[0]} is zero"],
            ),
            "rounded activations": Fault(
                partial(pass_on, [inner], in_steps),
                {inner: DEAD},
                cause=["round() has a slope of zero everywhere"],
            ),
            "detached branch": Fault(
                partial(pass_on, [inner], Tensor.detach), {inner: UNUSED}, cause=["detach()"]
            ),
            "half of the ReLUs off": Fault(
                partial(turn_off, norm[1], 4), {inner: "unreached (4 of 8 units)"}
            ),
            "every ReLU off": Fault(
                partial(turn_off, norm[1], 8),
                dict.fromkeys([inner, outer, *norm, *after], DEAD),
                cause=["off for every sample"],
            ),
            "weights of 1e-10 in a layer": Fault(
                partial(scale, [inner], 1e-9), {inner: "out of scale"}
            ),
            "numbers that share memory": Fault(partial(share, norm[0]), {norm[0]: "shared memory"}),
            "γ = 0 before a ReLU": dead(norm, inner, outer, *after),
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
        )
        | {
            "zero embedding": zero_embedding("model.decoder.embed_tokens.weight"),
            "layer left out by a draw": Fault(
                lambda _: None,
                {name: "left out" for name in at("fc1.weight", "fc2.weight")},
                {"encoder_layerdrop": 0.8},
            ),
        },
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
        | attention(*at(*(f"self_attn.{x}" for x in ("q_proj", "k_proj", "v_proj", "out_proj"))))
        | {"zero embedding": zero_embedding("text_model.embeddings.token_embedding.weight")},
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
            "layer zeroed twice over": dead([*into, *out], *scan, *norm),
            "constant layer": Fault(
                partial(repeat_channel, "backbone.layers.0.mixer"),
                {into[0]: "twins (64 units act as 2)"} | twins,
            ),
            "γ = 0 before a ReLU": dead(norm, *into, *scan, *out),
            "tied embedding zero": tied_zero("backbone.embeddings.weight"),
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
        feed_forward(at("ff.net.0.proj.weight", "ff.net.0.proj.bias"), at("ff.net.2.weight"), 64)
        | attention(*at(*(f"attn1.{x}" for x in ("to_q", "to_k", "to_v", "to_out.0")))),
    )
