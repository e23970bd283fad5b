"""What each adapter of ``peft`` and of LyCORIS does at its start, measured step by step.

``python -m atlas.adapters`` writes ``adapters.json`` and, of the default starts, ``adapters.md``.
A row that is there and was measured with the same versions stays, so a run that was stopped goes
on; a library that is not installed keeps its rows. ``pip install -r atlas/adapters.txt`` installs
the versions of the table.
"""

import dataclasses
import enum
import importlib
import json
import logging
import math
import os
import re
import sys
import tempfile
import typing
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from atlas.forks import Row, forked
from benchmarks.markdown import markdown

os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}

#: Where the rows are kept.
ROWS = Path(__file__).with_suffix(".json")
#: Steps of each run, and seconds that a case may take.
STEPS, SECONDS = 12, 600
#: A gradient of this size, beside the largest, is taken for rounding: in float32, in float64.
ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-12}
#: The packages whose versions belong to a row.
PACKAGES = {"peft": ("peft", "torch", "transformers"), "lycoris": ("lycoris-lora", "torch")}
VOCABULARY = 16

Batch = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Case:
    """An adapter with one option, on a small base network."""

    library: str
    tuner: str
    option: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    base: str = "llama"

    @property
    def name(self) -> str:
        """The name of the row."""
        return " ".join(filter(None, (self.library, self.tuner, self.option)))


@dataclasses.dataclass
class Adapted:
    """A network with an adapter, and the parameters that are trained."""

    model: nn.Module
    trained: dict[str, nn.Parameter]
    extra: Batch


# --- base networks and data ---------------------------------------------------------------------


class Pictures(nn.Module):
    """Two convolutions and a layer over pictures of 6 by 6."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3)
        self.second = nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8 * 4, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of pictures."""
        return self.head(self.second(self.first(x).relu()).relu().flatten(1))  # type: ignore[no-any-return]


def base(kind: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return a small network with random weights, the same at each call."""
    import transformers

    torch.manual_seed(0)
    small: dict[str, Any] = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1}
    small |= {"eos_token_id": 2, "initializer_range": 0.2, "tie_word_embeddings": kind == "tied"}
    wide: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    wide |= {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64}
    model: nn.Module
    if kind == "pictures":
        model = Pictures()
    elif kind == "gpt2":
        dropouts = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, **small, **dropouts)
        model = transformers.GPT2LMHeadModel(config)
    elif kind == "mixtral":
        few = {"num_local_experts": 4, "num_experts_per_tok": 2}
        config = transformers.MixtralConfig(**small, **wide, **few)
        model = transformers.MixtralForCausalLM(config)
    else:
        config = transformers.LlamaConfig(attention_bias=True, **small, **wide)
        model = transformers.LlamaForCausalLM(config)
    if kind == "zeros":
        for layer in model.model.layers:  # type: ignore[union-attr]
            nn.init.zeros_(layer.mlp.down_proj.weight)
    return model.to(dtype)


def batches(kind: str, extra: Batch) -> Iterator[Batch]:
    """Give one random batch after another, the same at each call."""
    draw = torch.Generator().manual_seed(1)
    while True:
        if kind == "pictures":
            yield {"x": torch.randn(16, 4, 6, 6, generator=draw),
                   "labels": torch.randint(VOCABULARY, (16,), generator=draw)}  # fmt: skip
        else:
            words = torch.randint(3, VOCABULARY, (8, 12), generator=draw)
            yield {"input_ids": words, "labels": words} | extra


def loss_of(model: nn.Module, batch: Batch) -> Tensor:
    """Return the loss that the network computes itself, or the cross-entropy of its scores."""
    if "x" in batch:
        given = next(model.parameters()).dtype
        return nn.functional.cross_entropy(model(batch["x"].to(given)), batch["labels"])
    loss: Tensor = model(**batch).loss
    return loss


@torch.no_grad()
def says(model: nn.Module, kind: str, extra: Batch, *, training: bool = False) -> Tensor:
    """Return what a network says to the first batch, at the places of its words."""
    model.train(training)
    batch = next(batches(kind, extra))
    if "x" in batch:
        given = next(model.parameters()).dtype
        return model(batch["x"].to(given)).float()  # type: ignore[no-any-return]
    logits: Tensor = model(**batch).logits
    return logits[:, -batch["input_ids"].shape[1] :].float()


def away(one: Tensor, two: Tensor) -> float | None:
    """Return the largest difference of two outputs beside the largest number of the second.

    Where the difference is not finite there is none.
    """
    found = ((one - two).abs().max() / two.abs().max()).item()
    return float(f"{found:.2g}") if math.isfinite(found) else None


# --- peft ----------------------------------------------------------------------------------------

#: Small sizes for each tuner, where its own are too large for the base network or must be given.
SIZES: Mapping[str, Mapping[str, Any]] = {
    "ADALORA": {"init_r": 4, "target_r": 2, "total_step": 1000},
    "ADAMSS": {"num_subspaces": 2, "subspace_rank": 2, "init_warmup": 5, "asa_target_subspaces": 1},
    "ADAPTION_PROMPT": {"adapter_len": 4, "adapter_layers": 2, "target_modules": None},
    "C3A": {"block_size": 4},
    "CARTRIDGE": {"num_virtual_tokens": 4},
    "CPT": {"num_virtual_tokens": 4, "cpt_token_ids": [3, 4, 5, 6], "cpt_mask": [1] * 4,
            "cpt_tokens_type_mask": [1, 2, 3, 4]},
    "FOURIERFT": {"n_frequency": 100},
    "GRALORA": {"alpha": 8},
    "IA3": {"target_modules": ["q_proj", "k_proj", "v_proj", "down_proj"],
            "feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": ["input_layernorm", "post_attention_layernorm", "norm"]},
    "MISS": {"mini_r": 2},
    "MULTITASK_PROMPT_TUNING": {"num_virtual_tokens": 4, "num_tasks": 2, "num_ranks": 2},
    "OFT": {"r": 0, "oft_block_size": 4},
    "POLY": {"n_tasks": 2, "n_skills": 2},
    "PREFIX_TUNING": {"num_virtual_tokens": 4, "encoder_hidden_size": 12},
    "PROMPT_TUNING": {"num_virtual_tokens": 4},
    "P_TUNING": {"num_virtual_tokens": 4, "encoder_hidden_size": 12},
    "RANDLORA": {"randlora_alpha": 8},
    "ROAD": {"group_size": 8},
    "SHADOW": {"shadow_num_hidden_layers": 1, "target_modules": None},
    "SUPERTUNING": {"r": None, "sparsity": 0.9},
    "TINYLORA": {"u": 8},
    "TRAINABLE_TOKENS": {"token_indices": [3, 4, 5], "target_modules": ["embed_tokens"]},
    "UNILORA": {"theta_d_length": 64},
    "VBLORA": {"num_vectors": 16, "vector_length": 8},
    "WAVEFT": {"n_frequency": 100},
    "XLORA": {"hidden_size": 16, "xlora_size": 8},
}  # fmt: skip
#: Fields that change neither the start nor the steps.
NO_START = ("fan_in_fan_out", "ensure_weight_tying", "progressbar", "runtime", "save_", "bias")
#: What other options need beside them.
BESIDE: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("MULTITASK_PROMPT_TUNING", "prompt_tuning_init=TEXT"): {
        "prompt_tuning_init_text": "a b", "tokenizer_name_or_path": ()},
    ("PROMPT_TUNING", "prompt_tuning_init=TEXT"): {
        "prompt_tuning_init_text": "a b", "tokenizer_name_or_path": ()},
}  # fmt: skip
ALL = ["q_proj", "v_proj", "up_proj"]


def choices(kind: Any) -> Iterator[Any]:
    """Give the values that a type of a field lists."""
    if kind is bool:
        yield from (True, False)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        yield from (member.value for member in kind)
    elif typing.get_origin(kind) is Literal:
        yield from typing.get_args(kind)
    else:
        for part in typing.get_args(kind):
            yield from choices(part)


def peft_cases() -> Iterator[Case]:
    """Give each tuner of peft with its defaults, and with each other value of each option."""
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as CONFIGS

    common = {field.name for field in dataclasses.fields(peft.PeftConfig)}
    for kind, config in CONFIGS.items():
        yield Case("peft", kind.value)
        hints = typing.get_type_hints(config)
        for field in dataclasses.fields(config):
            if field.name in common or field.name.startswith(NO_START):
                continue
            if kind.value == "ADALORA" and hasattr(peft.LoraConfig, field.name):
                continue  # the options of LoRA, which it does not have
            default = getattr(field.default, "value", field.default)
            for value in dict.fromkeys(choices(hints[field.name])):
                if value in (default, None) and type(value) is type(default):
                    continue
                given = value.replace("[number of iters]", "4") if isinstance(value, str) else value
                option = f"{field.name}={given}"
                beside = BESIDE.get((kind.value, option), {})
                yield Case("peft", kind.value, option, {field.name: given, **beside})
        if "target_modules" in hints and SIZES.get(kind.value, {}).get("target_modules", ()) == ():
            yield Case("peft", kind.value, "over zeros", OVER_ZEROS, "zeros")
    yield from (dataclasses.replace(case, library="peft") for case in MORE)


#: The settings of an adapter on a layer whose weights are zero.
OVER_ZEROS = {"target_modules": ["down_proj"]}


def linear_only(**settings: Any) -> dict[str, Any]:
    """Return settings of an adapter on the layers of the network of pictures."""
    return {"target_modules": ["first", "second", "head"], **settings}


#: Cases that no list of values names: other layers, other networks, sub-configurations.
MORE: Sequence[Case] = (
    Case("", "LORA", "eva_config", {"init_lora_weights": "eva", "eva_config": ()}),
    Case("", "LORA", "corda_config", {"init_lora_weights": "corda", "corda_config": ()}),
    Case("", "LORA", "lora_ga_config", {"init_lora_weights": "lora_ga", "lora_ga_config": ()}),
    Case("", "LORA", "loftq_config", {"init_lora_weights": "loftq", "loftq_config": ()}),
    Case("", "LORA", "velora_config", {"velora_config": ()}),
    Case("", "LORA", "monteclora_config", {"monteclora_config": ()}),
    Case("", "LORA", "kasa_config", {"kasa_config": ()}),
    Case("", "LORA", "alora_invocation_tokens", {"alora_invocation_tokens": [5]}),
    Case("", "LORA", "use_bdlora", {"use_bdlora": ()}),
    Case("", "LORA", "bias=all", {"bias": "all"}),
    Case("", "LORA", "bias=lora_only", {"bias": "lora_only"}),
    Case("", "LORA", "layer_replication", {"layer_replication": [[0, 2], [0, 2]]}),
    Case("", "LORA", "trainable_token_indices", {"trainable_token_indices": [3, 4]}),
    Case("", "LORA", "modules_to_save", {"modules_to_save": ["lm_head"]}),
    Case("", "LORA", "target_modules=embed_tokens", {"target_modules": ["embed_tokens"]}),
    Case("", "LORA", "embed_tokens, use_dora",
         {"target_modules": ["embed_tokens"], "use_dora": True}),
    Case("", "LORA", "embed_tokens, mica",
         {"target_modules": ["embed_tokens"], "init_lora_weights": "mica"}),
    Case("", "LORA", "tied embed_tokens and lm_head",
         {"target_modules": ["embed_tokens", "lm_head"]}, "tied"),
    Case("", "LORA", "tied, ensure_weight_tying",
         {"target_modules": ["embed_tokens", "lm_head"], "ensure_weight_tying": True}, "tied"),
    Case("", "LORA", "tied, modules_to_save=lm_head", {"modules_to_save": ["lm_head"]}, "tied"),
    Case("", "LORA", "tied, modules_to_save=embed_tokens",
         {"modules_to_save": ["embed_tokens"]}, "tied"),
    Case("", "LORA", "target_parameters", {
        "target_modules": [], "target_parameters": ["experts.gate_up_proj", "experts.down_proj"]},
        "mixtral"),
    Case("", "LORA", "the router of a mixture", {"target_parameters": ["gate.weight"],
         "target_modules": []}, "mixtral"),
    *(Case("", "LORA", f"r=20 of 16, {start}", {"r": 20, "init_lora_weights": start})
      for start in (True, "pissa", "olora", "orthogonal", "mica", "corda")),
    *(Case("", "LORA", f"over zeros, {start}", {"init_lora_weights": start, **OVER_ZEROS}, "zeros")
      for start in ("pissa", "olora", "orthogonal", "mica")),
    Case("", "LORA", "over zeros, use_dora", {"use_dora": True, **OVER_ZEROS}, "zeros"),
    Case("", "LORA", "over zeros, kasa_config", {"kasa_config": (), **OVER_ZEROS}, "zeros"),
    Case("", "IA3", "over zeros", {"feedforward_modules": [], **OVER_ZEROS}, "zeros"),
    Case("", "MISS", "over zeros, bat", {"init_weights": "bat", **OVER_ZEROS}, "zeros"),
    Case("", "VERA", "d_initial=0", {"d_initial": 0.0}),
    Case("", "PVERA", "d_initial=0", {"d_initial": 0.0}),
    Case("", "VBLORA", "init_vector_bank_bound=0", {"init_vector_bank_bound": 0.0}),
    Case("", "UNILORA", "init_theta_d_bound=0", {"init_theta_d_bound": 0.0}),
    Case("", "TINYLORA", "init_v_bound=0", {"init_v_bound": 0.0}),
    *(Case("", "LORA", f"use_dora, {start}", {"use_dora": True, "init_lora_weights": start})
      for start in ("pissa", "olora", "orthogonal", "mica")),
    Case("", "LORA", "lora_bias, bias=all", {"lora_bias": True, "bias": "all"}),
    Case("", "FOURIERFT", "n_frequency=256, init_weights=True",
         {"n_frequency": 256, "init_weights": True, "target_modules": ["q_proj", "v_proj"]}),
    Case("", "LOKR", "decompose_both, rank 1",
         {"decompose_both": True, "decompose_factor": 4, "r": 1}),
    Case("", "LOKR", "lycoris, decompose_both",
         {"decompose_both": True, "decompose_factor": 4, "r": 1, "init_weights": "lycoris"}),
    Case("", "GLORA", "config_A_B=vector, config_C=vector",
         {"config_A_B": "vector", "config_C": "vector", "config_D_E": "vector"}),
    Case("", "GLORA", "config_A_B=constant, config_C=none",
         {"config_A_B": "constant", "config_C": "none"}),
    Case("", "GRALORA", "hybrid_r=2", {"hybrid_r": 2}),
    Case("", "PEANUT", "depth=1", {"depth": 1}),
    Case("", "PEANUT", "depth=2", {"depth": 2}),
    *(Case("", "PEANUT", f"depth=1, {phi}", {"depth": 1, "act_fn": phi})
      for phi in ("tanh", "sigmoid", "gelu")),
    Case("", "LILY", "stride_A=2, num_B=1", {"stride_A": 2, "num_B": 1}),
    Case("", "LILY", "num_B=4", {"num_B": 4}),
    Case("", "TINYLORA", "weight_tying=1", {"weight_tying": 1.0}),
    Case("", "SUPERTUNING", "r=4", {"r": 4, "lora_alpha": 4}),
    Case("", "MISS", "mini, mini_r=4", {"init_weights": "mini", "mini_r": 4}),
    Case("", "BOFT", "boft_n_butterfly_factor=2",
         {"boft_n_butterfly_factor": 2, "boft_block_size": 2, "target_modules": ["q_proj"]}),
    Case("", "OFT", "coft, block_share", {"coft": True, "block_share": True}),
    Case("", "POLY", "n_splits=2", {"n_splits": 2}),
    Case("", "POLY", "n_skills=1", {"n_skills": 1}),
    Case("", "PSOFT", "no orth, no magnitudes",
         {"psoft_orth": False, "psoft_mag_a": False, "psoft_mag_b": False}),
    Case("", "OSF", "effective_rank=0.5", {"effective_rank": 0.5}),
    Case("", "IA3", "GPT-2", {"target_modules": ["c_attn", "mlp.c_proj"], "fan_in_fan_out": True,
                              "feedforward_modules": ["mlp.c_proj"]}, "gpt2"),
    Case("", "LORA", "GPT-2", {"target_modules": ["c_attn"], "fan_in_fan_out": True}, "gpt2"),
    Case("", "LN_TUNING", "GPT-2", {"target_modules": ["ln_1", "ln_2", "ln_f"]}, "gpt2"),
    Case("", "ADAPTION_PROMPT", "GPT-2", {}, "gpt2"),
    Case("", "BEFT", "GPT-2", {"target_modules": ["c_attn"]}, "gpt2"),
    *(Case("", tuner, "Conv2d", linear_only(**more), "pictures") for tuner, more in (
        ("LORA", {}), ("LOHA", {}), ("LOKR", {}), ("OFT", {"oft_block_size": 4}),
        ("BOFT", {"boft_block_size": 2}), ("HRA", {}), ("HIRA", {}), ("IA3",
         {"feedforward_modules": []}), ("ADALORA", {}))),
    Case("", "LORA", "Conv2d, use_dora", linear_only(use_dora=True), "pictures"),
    Case("", "LOHA", "Conv2d, use_effective_conv2d",
         linear_only(use_effective_conv2d=True), "pictures"),
    Case("", "LOKR", "Conv2d, use_effective_conv2d",
         linear_only(use_effective_conv2d=True), "pictures"),
    Case("", "HIRA", "target_modules=embed_tokens", {"target_modules": ["embed_tokens"]}),
)  # fmt: skip


def config_of(case: Case) -> Any:
    """Return the configuration of a case, with no dropout and with small sizes."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as CONFIGS

    config = CONFIGS[case.tuner]
    names = {field.name for field in dataclasses.fields(config)}
    sizes: dict[str, Any] = {"task_type": "CAUSAL_LM"} if case.base != "pictures" else {}
    sizes |= {"target_modules": ALL, "r": 4, **SIZES.get(case.tuner, {})}
    sizes |= {name: 0.0 for name in names if "dropout" in name}
    sizes |= {name: part(name) if value == () else value for name, value in case.settings.items()}
    if case.base == "gpt2" and case.tuner == "ADAPTION_PROMPT":
        sizes.pop("target_modules")
    return config(**{name: value for name, value in sizes.items() if name in names})


def part(name: str) -> Any:
    """Return what a case needs that is no plain value: mostly a configuration of a part."""
    import peft
    from peft.tuners.lora import config

    if name == "tokenizer_name_or_path":
        return tokenizer()
    if name == "loftq_config":
        return peft.LoftQConfig(loftq_bits=4)
    kind = {"use_bdlora": "BdLoraConfig", "eva_config": "EvaConfig"}.get(name)
    kind = kind or "".join(word.capitalize() for word in name.split("_")).replace("Ga", "GA")
    found = getattr(config, kind)
    blocks = {"target_modules_bd_a": ["q_proj"], "nblocks": 2, "match_strict": False}
    return found(**blocks if name == "use_bdlora" else {})


def tokenizer() -> str:
    """Save a tokenizer of a few words, and return where."""
    import tokenizers
    import transformers

    words = {word: place for place, word in enumerate(("[UNK]", "[PAD]", "a", "b", "c", "d"))}
    model = tokenizers.models.WordLevel(words, unk_token="[UNK]")
    one = tokenizers.Tokenizer(model)
    one.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    folder = tempfile.mkdtemp()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=one, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(folder)
    return folder


def peft_adapted(case: Case, dtype: torch.dtype = torch.float32) -> Adapted:
    """Return the base network with the adapter of a case."""
    import peft

    model, config = base(case.base, dtype), config_of(case)
    extra = {"task_ids": torch.arange(8) % 2} if case.tuner == "POLY" else {}
    extra |= {"task_ids": torch.arange(8) % 2} if case.tuner.startswith("MULTITASK") else {}
    start = str(case.settings.get("init_lora_weights"))
    if case.tuner == "XLORA":
        config.adapters = {str(k): saved_lora(case, k) for k in range(2)}
        model.config.use_cache = False  # type: ignore[union-attr]
    if start == "corda":
        from peft.tuners.lora.corda import preprocess_corda

        words = next(batches(case.base, {}))["input_ids"]  # it takes one sequence at a time
        preprocess_corda(model, config, run_model=lambda: [model(row[None]) for row in words])
    if start == "lora_ga":
        from peft.tuners.lora.loraga import preprocess_loraga

        data = [batch for batch, _ in zip(batches(case.base, {}), range(2), strict=False)]
        preprocess_loraga(
            model, config, lambda: [loss_of(model, batch).backward() for batch in data]
        )
    torch.manual_seed(1)
    adapted = peft.get_peft_model(model, config)
    if start == "eva":
        data = [batch for batch, _ in zip(batches(case.base, {}), range(8), strict=False)]
        peft.initialize_lora_eva_weights(adapted, data)
    return Adapted(adapted, trained(adapted), extra)


def saved_lora(case: Case, seed: int) -> str:
    """Save an adapter that has not been trained, and return where."""
    import peft

    torch.manual_seed(seed)
    lora = peft.LoraConfig(r=4, target_modules=ALL, task_type="CAUSAL_LM")
    folder = tempfile.mkdtemp()
    peft.get_peft_model(base(case.base), lora).save_pretrained(folder)
    return folder


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def merges(case: Case) -> dict[str, Any]:
    """Return how far merging, merging and taking out again, and saving move what is said."""
    import peft

    found: dict[str, Any] = {}

    def attempt(name: str, measure: Callable[[], float | None]) -> None:
        try:
            found[name] = measure()
        except Exception as error:
            found[name] = reason(error)

    plain = says(base(case.base), case.base, {})

    def merged_at_start() -> float | None:
        one = peft_adapted(case)
        one.model.merge_adapter()  # type: ignore[operator]
        return away(says(one.model, case.base, one.extra), plain)

    def taken_out() -> float | None:
        one = peft_adapted(case)
        one.model.merge_adapter()  # type: ignore[operator]
        one.model.unmerge_adapter()  # type: ignore[operator]
        return away(says(one.model, case.base, one.extra), plain)

    def turned_off() -> float | None:
        one = peft_adapted(case)
        descend(case, one, torch.optim.SGD, 0.01)
        with one.model.disable_adapter():  # type: ignore[operator]
            return away(says(one.model, case.base, one.extra), plain)

    def merged_later() -> float | None:
        one = peft_adapted(case)
        descend(case, one, torch.optim.SGD, 0.01)
        before = says(one.model, case.base, one.extra)
        one.model.merge_adapter()  # type: ignore[operator]
        return away(says(one.model, case.base, one.extra), before)

    def loaded() -> float | None:
        one = peft_adapted(case)
        descend(case, one, torch.optim.SGD, 0.01)
        before = says(one.model, case.base, one.extra)
        with tempfile.TemporaryDirectory() as folder:
            one.model.save_pretrained(folder)  # type: ignore[operator]
            again = peft.PeftModel.from_pretrained(base(case.base), folder)
            return away(says(again, case.base, one.extra), before)

    def in_bfloat16() -> float | None:
        one = peft_adapted(case, torch.bfloat16)
        coarse = says(base(case.base, torch.bfloat16), case.base, {})
        return away(says(one.model, case.base, one.extra), coarse)

    if hasattr(peft_adapted(case).model.base_model, "merge_adapter"):
        attempt("merged", merged_at_start)
        attempt("unmerged", taken_out)
        attempt("merged after training", merged_later)
    attempt("off after training", turned_off)
    attempt("loaded after training", loaded)
    attempt("bfloat16", in_bfloat16)
    return found


# --- LyCORIS -------------------------------------------------------------------------------------


def lycoris_cases() -> Iterator[Case]:
    """Give each algorithm of LyCORIS with its defaults, and with each option, on two networks."""
    from lycoris.wrapper import network_module_dict

    options: dict[str, dict[str, Any]] = {
        "use_scalar": {"use_scalar": True}, "dora_wd": {"dora_wd": True},
        "dora_wd, wd_on_output=False": {"dora_wd": True, "wd_on_output": False},
        "bypass_mode": {"bypass_mode": True}, "rescaled": {"rescaled": True},
        "constraint": {"constraint": 0.1}, "full_matrix": {"full_matrix": True},
        "decompose_both": {"decompose_both": True, "factor": 4, "linear_dim": 1},
        "unbalanced_factorization": {"unbalanced_factorization": True},
        "train_norm": {"train_norm": True}, "rank 20 of 16": {"linear_dim": 20},
    }  # fmt: skip
    used: dict[str, tuple[str, ...]] = dict.fromkeys(
        ("rescaled", "constraint"), ("diag-oft", "boft")
    )
    used |= dict.fromkeys(("full_matrix", "decompose_both", "unbalanced_factorization"), ("lokr",))
    for algorithm in network_module_dict:
        yield Case("lycoris", algorithm)
        for option, settings in options.items():
            if algorithm in used.get(option, (algorithm,)):
                yield Case("lycoris", algorithm, option, settings)
        yield Case("lycoris", algorithm, "Conv2d", base="pictures")
        yield Case("lycoris", algorithm, "Conv2d, use_tucker", {"use_tucker": True}, "pictures")


def lycoris_adapted(case: Case) -> Adapted:
    """Return the base network with an adapter of LyCORIS."""
    from lycoris import create_lycoris

    model = base(case.base)
    model.requires_grad_(False)
    torch.manual_seed(1)
    settings = {"linear_dim": 4, "linear_alpha": 4.0, "algo": case.tuner} | dict(case.settings)
    network = create_lycoris(model, 1.0, **settings)
    network.apply_to()
    model.lycoris = network
    network.requires_grad_(True)
    return Adapted(model, trained(model), {})


# --- measures ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Course:
    """What a run showed: first steps, starts and gradients of each parameter."""

    start: dict[str, Tensor]
    gradients: dict[str, list[Tensor]]
    moved: dict[str, int | None]
    unused: set[str]
    finite: bool


def descend(
    case: Case, adapted: Adapted, optimizer: type[torch.optim.Optimizer], lr: float
) -> Course:
    """Train an adapter, and return what each of its parameters did."""
    model, given = adapted.model.train(), adapted.trained
    start = {name: p.detach().clone() for name, p in given.items()}
    moved: dict[str, int | None] = dict.fromkeys(given)
    course, unused = defaultdict(list), set(given)
    rule, finite = optimizer(given.values(), lr=lr), True  # type: ignore[call-arg]
    data = batches(case.base, adapted.extra)
    for step in range(1, STEPS + 1):
        rule.zero_grad()
        loss = loss_of(model, next(data))
        loss.backward()
        finite &= bool(loss.isfinite()) and all(
            p.grad is None or bool(p.grad.isfinite().all()) for p in given.values()
        )
        for name, p in given.items():
            if p.grad is not None:
                unused.discard(name)
            grad = torch.zeros_like(p) if p.grad is None else p.grad.detach().to_dense().clone()
            course[name].append(grad)
        rule.step()
        for name, p in given.items():
            if moved[name] is None and not torch.equal(p.detach(), start[name]):
                moved[name] = step
    return Course(start, course, moved, unused, finite)


def roles(names: Iterable[str], plain: nn.Module) -> dict[str, str]:
    """Return what each parameter is within its adapter: its name without the place in the base."""
    places = {word for name, _ in plain.named_parameters() for word in name.split(".")}
    places |= {"base_model", "model", "modules_to_save", "original_module", "lycoris", "default"}
    places -= {"weight", "bias"}
    found = {}
    for name in names:
        words = name.split(".")
        while len(words) > 1 and (
            words[0] in places or words[0].isdigit() or words[0].startswith("lycoris_")
        ):
            words.pop(0)
        own = [word for word in words if word not in ("default", "weight", "base_layer")]
        whole = [word for word in name.split(".") if word not in ("default", "base_layer")]
        if name.startswith("lycoris."):
            own = own or words
        found[name] = ".".join(own) if own not in ([], ["bias"]) else ".".join(whole[-2:])
    return found


def partners(moves: Tensor, near: float) -> Tensor:
    """Return for each row whether another row is the same, but for rounding."""
    draw = torch.Generator().manual_seed(0)
    order = (moves @ torch.randn(moves.shape[1], generator=draw, dtype=moves.dtype)).argsort()
    ordered = moves[order]
    same = (ordered[1:] - ordered[:-1]).norm(dim=1) <= near * ordered[1:].norm(dim=1)
    found = torch.zeros(len(moves), dtype=torch.bool)
    found[order[1:][same]] = found[order[:-1][same]] = True
    return found


def run(case: Case, optimizer: type[torch.optim.Optimizer], lr: float) -> Course:
    """Train the adapter of a case in float64, or in float32 where it cannot be trained so."""
    build = peft_adapted if case.library == "peft" else lycoris_adapted
    for dtype in (torch.float64, torch.float32):
        adapted = build(case)
        try:
            adapted.model.to(dtype)
            adapted.trained = trained(adapted.model)
            return descend(case, adapted, optimizer, lr)
        except (RuntimeError, ValueError):
            if dtype is torch.float32:
                raise
    raise AssertionError


def watch(case: Case) -> dict[str, Any]:
    """Return what a case says at its start, and what its parameters do from there."""
    build = peft_adapted if case.library == "peft" else lycoris_adapted
    plain = base(case.base)
    before = says(plain, case.base, {})
    adapted = build(case)
    row: dict[str, Any] = {
        "off": away(says(adapted.model, case.base, adapted.extra), before),
        "off in training": away(
            says(adapted.model, case.base, adapted.extra, training=True), before
        ),
    }
    sgd, adam = run(case, torch.optim.SGD, 0.01), run(case, torch.optim.Adam, 1e-3)
    return row | {"finite": sgd.finite, "parts": parts(sgd, adam, roles(sgd.start, plain))}


def measure(case: Case) -> dict[str, Any]:
    """Return the row of a case."""
    return watch(case) | (merges(case) if case.library == "peft" else {})


def parts(sgd: Course, adam: Course, role: Mapping[str, str]) -> dict[str, Any]:
    """Return what the parameters of each role did.

    An entry is asleep if its gradient is zero, or rounding, at each step. Two entries are equal if
    they start equal and have equal gradients, and opposite if their gradients are opposite.
    """
    dtype = next(iter(sgd.start.values())).dtype
    flat = {name: torch.stack(g).reshape(STEPS, -1).double() for name, g in sgd.gradients.items()}
    flat = {name: grads.nan_to_num() for name, grads in flat.items()}
    largest = max(grads.abs().max().item() for grads in flat.values())
    peaks = {name: grads.abs().amax(0) for name, grads in flat.items()}
    awake = {name: peak > ROUNDING[dtype] * peak.max() for name, peak in peaks.items()}
    noise = {name: bool(p.max() <= ROUNDING[dtype] * largest) for name, p in peaks.items()}
    alive = torch.cat([awake[name] & (not noise[name]) for name in flat])
    moves = torch.cat([grads.T for grads in flat.values()])[alive]
    starts = torch.cat([sgd.start[name].flatten().double() for name in flat])[alive]
    sizes = moves.norm(dim=1) / starts.abs().max().clamp(min=1e-30) if len(starts) else starts
    course = torch.cat([moves, (starts * sizes)[:, None]], 1)
    sign = (moves @ torch.linspace(1, 2, STEPS, dtype=moves.dtype)).sign()[:, None]
    near = 1e-3 if dtype is torch.float32 else 1e-7
    equal, opposite = torch.zeros(2, len(alive), dtype=torch.bool)
    equal[alive] = partners(course, near)
    alike = partners(moves, near)
    opposite[alive] = partners(moves * sign, near) & ~alike
    found: dict[str, Any] = {}
    place = 0
    for name, grads in flat.items():
        here = slice(place, place := place + grads.shape[1])
        fresh: dict[str, Any] = defaultdict(int, {"sgd": [], "adam": []})
        entry = found.setdefault(role[name], fresh)
        some = grads.any(1)
        step = int(some.nonzero()[0]) + 1 if some.any() and not noise[name] else 0
        entry["sgd"].append(step)
        entry["adam"].append(adam.moved[name] or 0)
        entry["parameters"] += 1
        entry["unused"] += name in sgd.unused
        entry["rounding"] += noise[name] and bool(some.any())
        entry["entries"] += grads.shape[1]
        entry["zero"] += int((sgd.start[name] == 0).sum())
        entry["asleep"] += int((~alive[here]).sum())
        entry["equal"] += int(equal[here].sum())
        entry["opposite"] += int(opposite[here].sum())
    for entry in found.values():
        entry |= {"sgd": sorted({*entry["sgd"]}), "adam": sorted({*entry["adam"]})}
    return {name: {k: v for k, v in entry.items() if v != 0} for name, entry in found.items()}


# --- the run -------------------------------------------------------------------------------------


def reason(error: BaseException) -> str:
    """Return the kind and the first line of an error."""
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {line[:160]}"


def quietly(case: Case) -> Row:
    """Return the row of a case, or the reason why there is none."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable()
    try:
        return measure(case)
    except Exception as error:
        return {"reason": reason(error)}


def apart(case: Case) -> Row:
    """Return the row of a case, measured in a process of its own within a limit of time."""
    try:
        return forked(quietly, case, seconds=SECONDS)
    except TimeoutError as error:
        return {"reason": str(error)}
    except ChildProcessError:
        return {"reason": "the process ended"}


def versions(library: str) -> dict[str, str]:
    """Return the versions that a row of a library depends on."""
    return {name: metadata.version(name).partition("+")[0] for name in PACKAGES[library]}


def cases() -> Iterator[Case]:
    """Give the cases of the libraries that are installed."""
    for library, some in (("peft", peft_cases), ("lycoris", lycoris_cases)):
        try:
            importlib.import_module(library)
        except ImportError:
            print(f"{library} is not installed: its rows stay as they are.", file=sys.stderr)
        else:
            yield from some()


def read() -> dict[str, dict[str, Any]]:
    """Return the rows that are kept, by name."""
    kept: dict[str, dict[str, Any]] = json.loads(ROWS.read_text("utf-8")) if ROWS.exists() else {}
    return kept


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what each adapter does at its default start, as a table with a row for each."""
    heads = "adapter", "off the base", "moves at step 1", "at step 2", "never"
    lines = []
    for name, row in rows.items():
        if row["option"] or "parts" not in row:
            continue
        at: dict[int, list[str]] = {1: [], 2: [], 0: []}
        for found, short in zip(row["parts"].values(), _short(row["parts"]), strict=True):
            word = f"`{short}`{' = 0' * (found.get('zero') == found['entries'])}"
            if word not in (words := at[max(found["sgd"])]):
                words.append(word)
        few = (", ".join(w if len(w) < 6 else [*w[:2], "and more"]) or "–" for w in at.values())
        lines.append([name.removeprefix("peft ").replace("_", " "), _off(row["off"]), *few])
    return markdown(heads, lines) + "\n"


def _short(parts: Iterable[str]) -> list[str]:
    """Return the names of parts without places and what all begin with; of long ones the end."""
    places = r"^prompt_encoder\.|^.*layers[._]\d.*\.(?=\D)|(\.layers)?\.\d+$"
    names = [re.sub(places, "", part) for part in parts]
    head = names[0].partition("_")[0] + "_"
    shared = len(names) > 1 and all(name.startswith(head) for name in names)
    names = [name.removeprefix(head) if shared else name for name in names]
    return [name if len(name) < 13 else re.split(r"[_.]", name)[-1] for name in names]


def _off(off: float | None) -> str:
    if off is None:
        return "NaN"
    return "no" if off == 0 else "by rounding" if off < 1e-5 else f"by {off:.1g}"


def main() -> None:
    """Measure the cases that have no row of these versions, and write each when it is there."""
    rows = read()
    for case in cases():
        used = versions(case.library)
        if rows.get(case.name, {}).get("versions") == used:
            continue
        head: dict[str, Any] = {"library": case.library, "tuner": case.tuner, "option": case.option}
        head |= {"base": case.base, "versions": used, "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        rows[case.name] = head | apart(case)
        lines = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}"
            for name, row in rows.items()
        )
        ROWS.write_text(f"{{\n{lines}\n}}\n", "utf-8")
        print(case.name, rows[case.name].get("reason", ""), flush=True)
    ROWS.with_suffix(".md").write_text(table(rows), "utf-8")


if __name__ == "__main__":
    main()
