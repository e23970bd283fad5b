"""Small networks of other libraries, each from its own registry and configuration, with its loss.

Nothing here knows one network from another if it can be helped: a table of sizes makes each
configuration small, and a table of inputs is read by the names that ``forward`` asks for.
"""

import contextlib
import copy
import functools
import importlib
import importlib.util
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

#: What is drawn at random: how many examples, words of a text, pixels of a side, frames.
EXAMPLES, WORDS, PIXELS, FRAMES = 4, 16, 128, 4
WIDTH, HEAD, VOCABULARY = 64, 16, 64
PICTURE = 3  # the word that stands for a part of a picture

Draw = torch.Generator
Maker = Callable[[Draw], Any]
Loss = Callable[[nn.Module], Tensor]


class Way(NamedTuple):
    """One way to make a network: in words, how it is built, and inputs that it may take."""

    how: str
    build: Callable[[], nn.Module]
    calls: Callable[[nn.Module], Iterable[Mapping[str, Maker]]]


# --- sizes ---------------------------------------------------------------------------------------

#: Small values of whole numbers, by the end of their names; the first that fits counts.
SIZES: tuple[tuple[str, int], ...] = (
    (r"pad_token_id|^pad_index", 0), (r"(bos|decoder_start|sos|cls)_token_id", 1),
    (r"(eos|sep|unk)_token_id", 2),
    (r"(image|img|patch|media)_?(token|pad)?_(id|index|idx)$", PICTURE),
    (r"video_token_(id|index)$", 4), (r"(audio|speech|sound)_?(token)?_(id|index|idx)$", 5),
    (r"(token|_eo.|_bo.)\w*_(id|index|idx)$|^mask_index|^[be]o\w_index", 6),
    (r"vocab\w*_size$|^vocab|codebook_size$|num_embeddings$", VOCABULARY),
    (r"(moe|experts|num_k|router)_?(top_?k|k)$|experts_per_tok\w*$|^top_?k$|topk_method", 2),
    (r"topk_group$|n_group$|num_expert_group", 1),
    (r"experts$|n_routed\w*$|^moe_num_experts|^num_slots", 4),
    (r"lora_rank$|state_(size|dim)$|d_state$", 16), (r"^rotary_(dim|emb_dim)$", 8),
    (r"head_dim$|^d_kv$|dim_head$|head_size$|head_channels$", HEAD),
    (r"heads$|n_head$|attention_heads$|nheads$", 4),
    (r"layers$|n_layer$|layers_\w+$|^depth$|blocks$|_depth$|nlayers$|num_hidden_groups", 2),
    (r"intermediate\w*$|ffn\w*(dim|size)$|d_ff$|n_inner$|mlp_(hidden_)?dim$", 96),
    (r"ff_dim|feedforward_(dim|size)", 96), (r"n_points$", 1),
    (r"window_size$", 4), (r"num_queries$|num_query\w*$|num_latents$|num_denoising$", 8),
    (r"codebooks$|quantizers$|num_register_tokens$", 4), (r"output_channels$", WIDTH),
    (r"tokens_per_image$|image_seq_length$|num_image_tokens$", 16),
    (r"max_(source|target|text)_positions$|max\w*position_embeddings$|n_positions$|n_ctx$", 64),
    (r"max_(seq\w*|length|text_len)\w*$|^seq_length$|pos_embed_max_size|context_length", 64),
    (r"hidden_(size|dim|channels)\w*$|d_(model|latents)$|n_embd$|embed_dim$", WIDTH),
    (r"emb(edding)?_(size|dim)$|^model_dim$", WIDTH),
    (r"(text|image|context|caption|cross_attention|joint_attention|pooled_projection|encoder_hid)"
     r"\w*(dim|channels)$", WIDTH),
    (r"(projection|proj|output|latent|fusion|pooler\w*|time_embed|condition)_(dim|size)$", WIDTH),
    (r"^dim$|^inner_dim|upsample_initial_channel|base_(dim|channels)$|^ch$|^filters?$", WIDTH),
    (r"^sample_(size|height|width)$", 16), (r"sample_frames", FRAMES), (r"norm_num_groups$", 8),
)  # fmt: skip
#: The same of lists of them: the largest value.
LISTS: tuple[tuple[str, int], ...] = (
    (r"depths?$|layers\w*$|blocks\w*$|num_convs|layers_per_block$", 2),
    (r"heads\w*$", 4),
    (r"ind(ices|exes)$", 1),
    (r"(hidden_sizes|dims?|channels\w*|embed\w*|sizes_hidden|widths|conv_dim|tdnn_dim)$", WIDTH),
)
#: Names of what stays as it is.
KEEP = (
    r"feat_extract|kernel|stride|ratio|patch_siz|dilation|factor|padding|rates|in_channels$"
    r"|num_channels$"
)


def smaller(name: str, value: Any, sizes: Sequence[tuple[str, int]] = SIZES) -> Any:
    """Return the small value of a setting, or the value itself."""
    if isinstance(value, bool) or re.search(KEEP, name):
        return value
    if name in ("image_size", "img_size"):
        side = PIXELS if isinstance(value, (int, list, tuple)) else value
        return [side] * len(value) if isinstance(value, (list, tuple)) else side
    if isinstance(value, int):
        small = next((small for rule, small in sizes if re.search(rule, name)), value)
        if name == "window_size" and value > 32:  # of pixels
            return value
        return small if "_id" in name or "index" in name else min(small, value)
    if (
        sizes is SIZES
        and isinstance(value, (list, tuple))
        and value
        and all(type(v) is int for v in value)
    ):
        most = next((most for rule, most in LISTS if re.search(rule, name)), None)
        if "axes_dim" in name or "rope_dim" in name:
            return {2: [8, 8], 3: [4, 6, 6], 4: [4, 4, 4, 4]}.get(len(value), value)
        if most == WIDTH and max(value) > most:
            return type(value)(max(32, 32 * round(v * most / max(value) / 32)) for v in value)
        return (
            value
            if most is None
            else type(value)(min(v, most, 2 ** v.bit_length() // 2) for v in value)
        )
    return value


#: What is needed and has no default, or not one for two layers.
FILLED: Mapping[str, Any] = {
    "prediction_length": 8, "attention_types": [[["global", "local"], 1]],
    "image_token_index": PICTURE, "image_token_id": PICTURE, "pad_token_id": 0,
}  # fmt: skip
#: Ways to shrink, in the order in which they are tried.
SHRINK: Mapping[str, Sequence[tuple[str, int]]] = {
    "small": SIZES,
    "own widths, 2 layers": [(r, v) for r, v in SIZES if re.search("token|vocab|layers|expert", r)],
    "its own sizes": (),
}


# --- inputs --------------------------------------------------------------------------------------


def normal(*shape: int) -> Maker:
    """Return what draws normal numbers."""
    return lambda draw: torch.randn(*shape, generator=draw)


def whole(below: int, *shape: int, start: int = 0) -> Maker:
    """Return what draws whole numbers."""
    return lambda draw: torch.randint(start, max(below, start + 1), shape, generator=draw)


def fixed(value: Any) -> Maker:
    """Return what gives the same each time."""
    return lambda draw: value


def accepted(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that a function has."""
    return {k: v for k, v in given.items() if k in inspect.signature(function).parameters}


def needed(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that a function must be given."""
    several = inspect.signature(function).parameters.values()
    named = [p for p in several if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [p.name for p in named if p.default is p.empty and p.name != "self"]


def choices(several: Mapping[str, Sequence[Maker]], most: int = 24) -> Iterator[dict[str, Maker]]:
    """Give each choice of one maker a name."""
    for one in itertools.islice(itertools.product(*several.values()), most):
        yield dict(zip(several, one, strict=True))


def floats(value: Any) -> Iterator[Tensor]:
    """Give all floating tensors of an output that depend on parameters."""
    if isinstance(value, Tensor):
        if value.is_floating_point() and value.requires_grad:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from floats(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from floats(part)
    elif hasattr(value, "__dict__") and not isinstance(value, nn.Module):
        yield from floats(vars(value))


def loss_of(call: Mapping[str, Maker], seed: int) -> Loss:
    """Return the network's own loss on one batch, or the distance to random targets."""
    draw = torch.Generator().manual_seed(seed)
    batch = {name: maker(draw) for name, maker in call.items()}
    args = [batch.pop(name) for name in [*batch] if name.startswith("*")]

    def loss(model: nn.Module) -> Tensor:
        out = model(*args, **batch)
        own = getattr(out, "loss", None)
        if isinstance(own, Tensor) and own.requires_grad:
            return own.mean()
        goal = torch.Generator().manual_seed(seed)
        found = [
            (y - torch.randn(y.shape, generator=goal)).abs().square().mean() for y in floats(out)
        ]
        if not found:
            raise ValueError("no output depends on a parameter")
        return torch.stack(found).sum()

    return loss


# --- transformers --------------------------------------------------------------------------------

#: Tables of the library, the most usual head first.
HEADS = (
    "CAUSAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "MASKED_LM", "IMAGE_CLASSIFICATION", "OBJECT_DETECTION",
    "UNIVERSAL_SEGMENTATION", "INSTANCE_SEGMENTATION", "SEMANTIC_SEGMENTATION", "CTC",
    "SPEECH_SEQ_2_SEQ", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "AUDIO_CLASSIFICATION",
    "VIDEO_CLASSIFICATION", "DEPTH_ESTIMATION", "MASKED_IMAGE_MODELING", "TIME_SERIES_PREDICTION",
    "ZERO_SHOT_OBJECT_DETECTION", "KEYPOINT_DETECTION", "TEXT_TO_WAVEFORM", "TOKEN_CLASSIFICATION",
    "SEQUENCE_CLASSIFICATION", "QUESTION_ANSWERING", "PRETRAINING", "BASE",
)  # fmt: skip


def transformers_names() -> list[str]:
    """Return a class for each kind of model of transformers: its most usual head."""
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    tables = [getattr(auto, f"MODEL_FOR_{head}_MAPPING_NAMES", {}) for head in HEADS[:-1]]
    found: dict[str, str] = {}
    for table in [*tables, auto.MODEL_MAPPING_NAMES]:
        for kind, cls in table.items():
            found.setdefault(kind, cls if isinstance(cls, str) else cls[0])
    return sorted({*found.values()})


def shrunk(config: Any, sizes: Sequence[tuple[str, int]]) -> Any:
    """Return a small configuration of the kind of another."""
    given = {}
    for name, value in vars(config).items():
        if name.startswith("_"):
            continue
        if getattr(value, "model_type", "") == "timm_backbone" and sizes:
            given[name] = copy.deepcopy(value)
            given[name].backbone = re.sub(r"resnet\d+", "resnet18", value.backbone)
        elif getattr(value, "model_type", ""):
            given[name] = shrunk(value, sizes)
        elif name == "rope_parameters" and sizes and isinstance(value,
        dict) and "mrope_section" in {
            *value, *getattr(config, "ignore_keys_at_rope_validation", ())}:  # fmt: skip
            part = [1, 1, 2] if value.get("partial_rotary_factor", 1) == 0.5 else [2, 3, 3]
            given[name] = value | {"rope_type": "default", "mrope_section": part}
        elif name in FILLED and (sizes or value is None):
            given[name] = FILLED[name]
        elif name == "vocab_size" and value is None:
            given[name] = VOCABULARY
        elif (small := smaller(name, value, sizes)) != value:
            given[name] = small
    if (
        sizes
        and "num_key_value_heads" in given
        and config.num_key_value_heads < config.num_attention_heads
    ):
        given["num_key_value_heads"] = min(2, config.num_key_value_heads)
    return type(config)(**given)


def transformers_ways(name: str) -> Iterator[Way]:
    """Give ways to make a network of transformers."""
    cls = getattr(importlib.import_module("transformers"), name)
    for how, sizes in SHRINK.items():

        def build(sizes: Sequence[tuple[str, int]] = sizes) -> nn.Module:
            config = shrunk(cls.config_class(), sizes)
            config.num_labels = 3
            for part in (config, config.get_text_config()):
                part.use_cache = False
            model: nn.Module = cls(config)
            return model

        yield Way(how, build, functools.partial(transformers_calls, name))


def side(config: Any) -> tuple[int, int]:
    """Return the sides of the pictures that a configuration is made for."""
    size = getattr(config, "image_size", None) or getattr(config, "img_size", None) or PIXELS
    size = size if isinstance(size, (list, tuple)) else [size, size]
    return int(size[0]), int(size[-1])


def transformers_calls(name: str, model: Any) -> Iterator[dict[str, Maker]]:
    """Give inputs that a network of transformers may take, the likeliest first."""
    config, asked = model.config, inspect.signature(model.forward).parameters
    text = config.get_text_config(decoder=True)
    vision = getattr(config, "vision_config", None) or config
    audio = getattr(config, "audio_config", None) or config
    b, t, colors = EXAMPLES, WORDS, getattr(vision, "num_channels", 3)
    high, wide = side(vision)
    words = getattr(text, "vocab_size", None) or VOCABULARY
    patch = getattr(vision, "patch_size", 16)
    patch = patch if isinstance(patch, int) else 16
    mel = next((getattr(audio, k) for k in ("num_mel_bins", "input_feat_per_channel",
    "feature_size",
                "n_mels", "input_dim") if isinstance(getattr(audio, k, None), int)),
                80)  # fmt: skip
    long = 2 * getattr(audio, "max_source_positions", 64)
    spell = whole(words, b, t, start=7)
    frames = getattr(config, "num_frames", None) or FRAMES
    past = (getattr(config, "context_length", None) or 64) + max(
        getattr(config, "lags_sequence", None) or [0]
    )
    grid = torch.tensor([[1, 4, 4]] * b)
    flat = colors * getattr(vision, "temporal_patch_size", 1) * patch**2
    options: dict[str, Sequence[Maker]] = {
        "input_ids": [spell],
        "pixel_values": [normal(b, colors, high, wide), normal(b, frames, colors, high, wide)],
        "pixel_values_videos": [normal(b, frames, colors, high, wide)],
        "input_values": [normal(b, 8000), normal(b, 1, 8000),
                         normal(b, getattr(config, "max_length", 64), mel), normal(b, 32, mel)],
        "input_features": [normal(b, mel, long), normal(b, long, mel)],
        "flattened_patches": [lambda draw: torch.cat([torch.ones(b, 16, 2), torch.randn(
            b, 16, getattr(vision, "patch_embed_hidden_size", 768), generator=draw)], 2)],
        "past_values": [normal(b, past), normal(b, past, getattr(config, "num_input_channels", 1))],
        "past_time_features": [normal(b, past, getattr(config, "num_time_features", 1))],
        "past_observed_mask": [fixed(torch.ones(b, past))],
        "future_time_features": [normal(b, 8, getattr(config, "num_time_features", 1))],
        "bbox": [lambda draw: torch.randint(0, 50, (b, t, 4), generator=draw).cumsum(2)],
        "inputs": [spell, normal(b, t, getattr(config, "d_model", WIDTH))],
        "inputs_embeds": [normal(b, t, getattr(text, "hidden_size", WIDTH))],
        "sample": [normal(b, colors, high, wide)],
        "hidden_states": [normal(16 * b, flat)],
        "grid_thw": [fixed(grid)],
        "query_embeds": [normal(b, 8, getattr(config, "hidden_size", WIDTH))],
        "qformer_input_ids": [spell],
    }  # fmt: skip
    options["decoder_input_ids"] = [spell]
    main = model.main_input_name if isinstance(model.main_input_name, str) else "input_ids"
    main = main if main in asked else next((n for n in options if n in asked), main)
    given = {main: options.get(main, [spell])}
    given |= {n: options[n] for n in needed(model.forward) if n in options}
    given |= {
        n: options[n]
        for n in ("future_time_features",)
        if n in asked and "past_time_features" in given
    }
    if "bbox" in asked:
        given["bbox"] = options["bbox"]
    extra: dict[str, Maker] = {}
    if "grid_thw" in asked and "pixel_values" in asked:
        given["pixel_values"] = [normal(16 * b, flat)]
    if "image_grid_thw" in asked:
        extra = {"pixel_values": normal(16 * b, flat), "image_grid_thw": fixed(grid)}
    elif "pixel_values" in asked and main == "input_ids":
        given["pixel_values"] = options["pixel_values"]
    elif "input_ids" in asked and main == "pixel_values" and not hasattr(config, "backbone_config"):
        given["input_ids"] = [spell]
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in asked:
        given["decoder_input_ids"] = [spell]
    goals = [*labels(name, config, spell, (b, high, wide)), {}]
    for picture in (
        (True, False) if "pixel_values" in given | extra and main == "input_ids" else (True,)
    ):
        for goal in goals:
            kept = {n: m for n, m in given.items() if picture or n != "pixel_values"}
            for call in choices(kept):
                call = call | (extra if picture else {})
                if picture and "pixel_values" in call and "input_ids" in call:
                    call["input_ids"] = pictured(model, call, spell)
                    if "mm_token_type_ids" in asked:
                        call["mm_token_type_ids"] = marks(call["input_ids"])
                if goal.keys() <= set(asked):
                    yield call | {n: m or call.get("input_ids", spell) for n, m in goal.items()}


def marks(spell: Maker) -> Maker:
    """Return what says of each word of a text whether it stands for a part of a picture."""
    return lambda draw: (spell(draw) == PICTURE).long()


def pictured(model: Any, call: Mapping[str, Maker], spell: Maker) -> Maker:
    """Return a text with as many places for a picture as the network makes of one."""
    mark = next((getattr(model.config, k) for k in ("image_token_id", "image_token_index")
                 if isinstance(getattr(model.config, k, None), int)), None)  # fmt: skip
    look = getattr(model, "get_image_features", None) or getattr(
        getattr(model, "model", None), "get_image_features", None
    )
    if mark is None or look is None:
        return spell
    draw = torch.Generator().manual_seed(0)
    shown = accepted(look, {n: m(draw) for n, m in call.items() if "labels" not in n})
    shown = {n: value for n, value in shown.items() if n != "input_ids"}
    with contextlib.suppress(Exception), torch.no_grad():
        seen = look(**shown)
        seen = getattr(seen, "pooler_output", seen)
        if isinstance(seen, (list, tuple)):
            seen = torch.cat([one.flatten(0, -2) for one in seen])
        places = seen.numel() // seen.shape[-1] // EXAMPLES
        return lambda draw: torch.cat([torch.full((EXAMPLES, places), mark), spell(draw)], 1)
    return spell


def labels(
    name: str, config: Any, spell: Maker, shape: tuple[int, int, int]
) -> Iterator[dict[str, Maker | None]]:
    """Give the labels that the head of a class takes; None stands for words again."""
    b, high, wide = shape

    def boxes(draw: Draw) -> Any:
        return [{"class_labels": torch.randint(0, 3, (2,), generator=draw),
                 "boxes": 0.25 + 0.5 * torch.rand(2, 4,
                 generator=draw)} for _ in range(b)]  # fmt: skip

    if "Segmentation" in name or "OneFormer" in name or "MaskFormer" in name:
        yield {"mask_labels": lambda draw: [torch.rand(2, high, wide, generator=draw).round()] * b,
               "class_labels": lambda draw: [torch.randint(0, 3, (2,),
               generator=draw)] * b}  # fmt: skip
        yield {"labels": whole(3, b, high, wide)}
    elif "Detection" in name:
        yield {"labels": boxes}
    elif "DepthEstimation" in name:
        yield {"labels": lambda draw: torch.rand(b, high, wide, generator=draw)}
    elif "QuestionAnswering" in name:
        yield {"start_positions": whole(WORDS, b), "end_positions": whole(WORDS, b)}
    elif "TokenClassification" in name:
        yield {"labels": whole(3, b, WORDS)}
    elif "CTC" in name:
        yield {"labels": whole(getattr(config, "vocab_size", 32) or 32, b, 3, start=7)}
    elif "Classification" in name:
        yield {"labels": whole(3, b)}
    else:
        yield {"labels": None}
        yield {"labels": spell}
        yield {"return_loss": fixed(True)}
        yield {"future_values": normal(b, getattr(config, "prediction_length", None) or 24)}


# --- diffusers -----------------------------------------------------------------------------------


def diffusers_names() -> list[str]:
    """Return the names of the models that diffusers exports."""
    models = importlib.import_module("diffusers.models")
    base = importlib.import_module("diffusers").ModelMixin
    names = sorted({name for several in models._import_structure.values() for name in several})
    found = []
    for name in names:
        with contextlib.suppress(Exception):
            cls = getattr(models, name)
            if inspect.isclass(cls) and issubclass(cls, base) and hasattr(cls, "from_config"):
                found.append(name)
    return found


def diffusers_ways(name: str) -> Iterator[Way]:
    """Give ways to make a model of diffusers."""
    cls = getattr(importlib.import_module("diffusers.models"), name)
    for how, sizes in SHRINK.items():
        given = {}
        for key, p in inspect.signature(cls.__init__).parameters.items():
            value = smaller(key, p.default, sizes) if p.default is not p.empty else None
            if p.default is p.empty and re.search("channels$", key):
                value = 4
            elif value is None and re.search(
                r"((cross|joint)_attention|text_embed|pooled_projection)_dim$", key
            ):
                value = WIDTH
            elif value is None and key in ("sample_size", "num_layers"):
                value = {"sample_size": 16, "num_layers": 2}[key]
            if value is not None and value is not p.default:
                given[key] = value
        yield Way(how, functools.partial(cls, **given), diffusers_calls)


def diffusers_calls(model: Any) -> Iterator[dict[str, Maker]]:
    """Give inputs that a model of diffusers may take."""
    config, b = model.config, EXAMPLES
    known = ("in_channels", "input_channels", "latent_channels", "in_visual_dim", "num_channels")
    c = next((v for k in known if isinstance(v := config.get(k), int)), 3)
    axes = len(config.get("axes_dims_rope") or config.get("axes_dim") or (1, 1, 1))
    ids = torch.cartesian_prod(*[torch.arange(8.0)] * 2)
    two = fixed(torch.tensor([[16.0, 16.0]] * b))
    state = {
        "encoder_hidden_states": normal(b, 8, WIDTH), "pooled_projections": normal(b, WIDTH),
        "encoder_attention_mask": fixed(torch.ones(b, 8)), "proj_embedding": normal(b, WIDTH),
        "encoder_hidden_states_mask": fixed(torch.ones(b, 8).bool()),
        "context_latents": normal(b, 64, 128),
        "class_labels": whole(3, b), "controlnet_cond": normal(b, 3, 128, 128),
        "cap_feats": normal(b, 8, WIDTH),
        "img_shapes": fixed([(1, 8, 8)] * b), "txt_seq_lens": fixed([8] * b), "fps": whole(30, b),
        "added_cond_kwargs": fixed({"resolution": None, "aspect_ratio": None}),
        "original_size": two,
        "num_frames": fixed(FRAMES), "height": fixed(16), "width": fixed(16), "crop_coords": two,
        "target_size": two,
        "img_ids": fixed(torch.nn.functional.pad(ids, (axes - 2, 0))),
        "txt_ids": fixed(torch.zeros(8, axes)),
        "added_time_ids": normal(b, 3), "padding_mask": fixed(torch.ones(1, 1, 16, 16)),
        "image_latents": normal(b, c, FRAMES, 16, 16), "input_ids": whole(VOCABULARY, b, 8),
    }  # fmt: skip
    if config.get("guidance_embeds"):
        state["guidance"] = fixed(torch.ones(b))
    shapes = [normal(b, c, 16, 16), normal(b, c, FRAMES + 1, 16, 16), normal(b, 64, c), normal(b,
    c, FRAMES, 16, 16),
              normal(b, c, 64), normal(b, FRAMES, c, 16, 16), normal(b, c, 64, 64),
              normal(b, c, FRAMES + 1, 64, 64), normal(b, WIDTH), normal(b, c, 2048)]  # fmt: skip
    times = [lambda draw: torch.rand(b, generator=draw), whole(1000, b)]
    must = needed(model.forward)
    several = {n: times for n in must if re.search("timestep|^t$", n)}
    first = next((n for n in must if n not in several), must[0])
    if "timestep" in inspect.signature(model.forward).parameters:
        several["timestep"] = times
    common = accepted(model.forward, state)
    for given in (common, {n: m for n, m in common.items() if n in must}):
        for shape in shapes:
            for more in choices(several):
                yield {first: shape} | more | given


# --- timm and torchvision ------------------------------------------------------------------------

SMALL_FIRST = (
    "nano|pico|femto|atto|tiny|xxs|xs|x?small|mini|micro|_s$|_s_|b0|s0|x0_|0_5|18|400mf|11"
)


def smallest(families: Mapping[str, Sequence[str]], each: int) -> list[str]:
    """Return some names of each family that say that they are small, of different kinds."""
    found = []
    for names in families.values():
        kinds: dict[str, str] = {}
        for name in sorted(names, key=lambda n: (not re.search(SMALL_FIRST, n), len(n), n)):
            kinds.setdefault(re.split(r"[\d_]", name)[0], name)
        found += [*kinds.values()][:each]
    return sorted(found)


def timm_names() -> list[str]:
    """Return some small variants of each family of timm."""
    timm = importlib.import_module("timm")
    families = {m: [n for n in timm.list_models(module=m) if not n.startswith("test_")]
                for m in timm.list_modules()}  # fmt: skip
    return smallest({m: names for m, names in families.items() if names}, 1)


def timm_ways(name: str) -> Iterator[Way]:
    """Give ways to make a network of timm: for small pictures, or for those that it is made for."""
    timm = importlib.import_module("timm")
    for how, more in (
        ("128 pixels", {"img_size": PIXELS}),
        ("128 pixels", {}),
        ("its pictures", None),
    ):

        def build(more: Any = more) -> nn.Module:
            model: nn.Module = timm.create_model(name, pretrained=False, **(more or {}))
            return model

        def calls(model: Any, more: Any = more) -> Iterator[dict[str, Maker]]:
            own = model.default_cfg["input_size"][-1]
            yield {"*": normal(EXAMPLES, 3, *([own if more is None else PIXELS] * 2))}

        yield Way(how, build, calls)


def torchvision_names() -> list[str]:
    """Return some small variants of each family of torchvision."""
    models = importlib.import_module("torchvision").models
    families: dict[str, list[str]] = {}
    for name in models.list_models():
        families.setdefault(models.get_model_builder(name).__module__, []).append(name)
    return smallest(families, 1)


def torchvision_ways(name: str) -> Iterator[Way]:
    """Give ways to make a network of torchvision."""
    models = importlib.import_module("torchvision").models
    kind = models.get_model_builder(name).__module__.split(".")[-2]

    def build() -> nn.Module:
        more = {"weights_backbone": None} if kind in ("detection", "segmentation") else {}
        return models.get_model(name, weights=None, **more)  # type: ignore[no-any-return]

    def calls(model: Any) -> Iterator[dict[str, Maker]]:
        def boxes(draw: Draw) -> Any:
            return [{"labels": torch.tensor([1, 2]), "boxes": torch.tensor(
                [[10.0, 10, 60, 60], [30, 30, 100, 110]])}] * EXAMPLES  # fmt: skip

        if kind == "detection":
            yield {
                "*": lambda draw: [*torch.rand(EXAMPLES, 3, PIXELS, PIXELS, generator=draw)],
                "**": boxes,
            }
        elif kind == "video":
            yield {"*": normal(EXAMPLES, 3, 16, 64, 64)}
            yield {"*": normal(2, 3, 16, 224, 224)}
        elif kind == "optical_flow":
            yield {"*": normal(2, 3, PIXELS, PIXELS), "**": normal(2, 3, PIXELS, PIXELS)}
        else:
            yield from ({"*": normal(EXAMPLES, 3, size, size)} for size in (PIXELS, 224, 299))

    yield Way("its own sizes", build, calls)


def stand_in() -> None:
    """Let torchvision be imported where its compiled operators are for another PyTorch."""
    spec = importlib.util.find_spec("torchvision")
    with contextlib.suppress(ImportError, OSError):
        torch.ops.load_library(str(Path(str(spec and spec.origin)).with_name("_C.so")))
        return
    if spec and spec.origin:
        text = Path(spec.origin).with_name("_meta_registrations.py").read_text("utf-8")
        names = re.findall(r'register_(?:meta\("|fake\("torchvision::)(\w+)"', text)
        for name in sorted({*names}):
            torch.library.define(f"torchvision::{name}", "(Tensor input) -> Tensor")


# --- torch_geometric and torch.nn ----------------------------------------------------------------


def classes(*modules: str) -> dict[str, type[nn.Module]]:
    """Return the public modules of some packages, by name."""
    found = {}
    for module in modules:
        for name, cls in sorted(vars(importlib.import_module(module)).items()):
            if inspect.isclass(cls) and issubclass(cls, nn.Module) and name == cls.__name__:
                found[name] = cls
    return found


GRAPHS = [
    f"torch_geometric.nn.{part}"
    for part in ("conv", "models", "aggr", "norm", "pool", "dense", "kge", "attention")
]


def graph_ways(name: str) -> Iterator[Way]:
    """Give ways to make a module of torch_geometric."""
    cls = classes(*GRAPHS)[name]
    n, edges, w = 24, 96, 16
    conv = importlib.import_module("torch_geometric.nn").GCNConv
    sizes: dict[str, Any] = dict.fromkeys(
        ("in_channels", "out_channels", "hidden_channels", "channels", "embedding_dim",
         "hidden_node_channels", "hidden_edge_channels", "dim_emb", "edge_type_emb_dim",
         "edge_attr_emb_dim",
         "out_emb_channels", "int_emb_size", "basis_emb_size", "memory_dim", "time_dim",
         "raw_msg_dim",
         "propagate_dimensions"), w)  # fmt: skip
    sizes |= {"num_layers": 2, "num_relations": 3, "num_rels": 3, "num_nodes": n, "k": 4, "K": 3,
    "heads": 2,
              "edge_dim": 4, "num_types": 3, "num_node_types": 3, "num_edge_types": 3,
              "kernel_size": 3,
              "alpha": 0.5, "num_blocks": 2, "num_spherical": 4, "num_radial": 4, "num_bilinear": 4,
              "space_dimensions": 3, "num_timesteps": 2, "num_embeddings": 8, "processing_steps": 2,
              "mode": "lstm" if name == "JumpingKnowledge" else "symmetric", "depth": 2,
              "act": "relu",
              "aggregators": ["mean", "max"], "scalers": ["identity"], "deg": torch.tensor([0, 4,
              8, 8, 4]),
              "num_classes": 4, "filter_size": 4, "num_heads": 2, "num_encoder_layers": 1,
              "seq_len": 4,
              "metadata": (["a"], [("a", "to", "a")]), "nn": nn.Linear(w, w), "max_num_elements": n,
              "patch_size": 4, "num_clusters": 4, "groups": 2, "input_dim": w, "hidden_dim": w,
              "output_dim": w,
              "aggr": "mean", "scaler": "identity", "dim_pe_in": 4, "dim_pe_out": 4, "seed": 0,
              "gate_nn": nn.Linear(w, 1), "dim": 4, "conv": conv(w, w), "encoder": conv(w, w),
              "convs": {("a", "to", "a"): conv(w, w, add_self_loops=False)}, "first_aggr": True,
              "types": ["a"],
              "mlp_h": nn.Linear(w, 3), "mlp_f": nn.Linear(w + 3, w), "mlp_g": nn.Linear(w, w),
              "discriminator": nn.Linear(w, 1), "summary": lambda z, *_: z.mean(0).sigmoid(),
              "corruption": lambda x, index: (x.flip(0), index)}  # fmt: skip
    if "EdgeConv" in name:
        sizes["nn"] = nn.Sequential(nn.Linear(2 * w, w), nn.ReLU(), nn.Linear(w, w))
    if name == "NNConv":
        sizes["nn"] = nn.Linear(4, w * w)

    def build() -> nn.Module:
        must = {k: sizes[k] for k in needed(cls.__init__) if k in sizes}
        more = ["in_channels", "out_channels", "edge_dim", "heads"]
        more += {"MLP": ["hidden_channels", "num_layers"], "JumpingKnowledge": ["channels",
        "num_layers"],
                 "HeteroDictLinear": ["types"]}.get(name, [])  # fmt: skip
        named = {k: sizes[k] for k in more + ["num_layers"] * ("MLP" in name)}
        every = {k: sizes[k] for k in ("aggregators", "scalers", "deg")} if name == "PNA" else {}
        return cls(**must | accepted(cls.__init__, named) | every)

    def calls(model: nn.Module) -> Iterator[dict[str, Maker]]:
        index = torch.arange(n).repeat_interleave(4)
        batch = torch.arange(n) // 6
        here: dict[str, Maker] = {
            "x": normal(n, w), "x_0": normal(n, w), "edge_index": lambda draw: torch.stack(
                [index, torch.randint(0, n, (edges,), generator=draw)]),
            "edge_attr": normal(edges, 4), "pos": normal(n, 3), "z": whole(8, n, start=1),
            "batch": fixed(batch), "edge_type": whole(3, edges), "index": fixed(batch),
            "edge_weight": lambda draw: torch.rand(edges, generator=draw), "normal": normal(n, 3),
            "head_index": whole(n, 32), "rel_type": whole(3, 32), "tail_index": whole(n, 32),
            "type_vec": fixed(torch.arange(n) % 3), "node_type": whole(3, n),
            "pos_edge_index": whole(n, 2, 40),
            "neg_edge_index": whole(n, 2, 40), "hyperedge_index": whole(6, 2, 40),
            "x_dict": lambda draw: {"a": torch.randn(n, w, generator=draw)},
            "edge_index_dict": lambda draw: {("a", "to", "a"): torch.randint(0, n, (2, edges),
            generator=draw)},
            "xs": lambda draw: [torch.randn(n, w, generator=draw) for _ in range(3)],
            "y": whole(4, n),
            "adj": lambda draw: torch.rand(2, n, n, generator=draw).round(),
            "mask": fixed(torch.ones(n).bool()),
        }  # fmt: skip
        asked = inspect.signature(model.forward).parameters
        dense = {"x": normal(2, n, w)} if "adj" in asked or name.startswith("Dense") else {}
        must = {k: (here | dense)[k] for k in needed(model.forward) if k in here}
        full = must | {
            k: here[k]
            for k in ("edge_attr", "batch", "edge_type", "index", "type_vec")
            if k in asked
        }
        yield from (full, must) if must else [{"*": here["x"], "**": here["edge_index"]}]
        if "x" in must:
            yield from (must | {"x": normal(*shape)} for shape in ((2, n, w), (n, 3, w)))

    yield Way("sixteen wide, 24 nodes", build, calls)


def layer_ways(name: str) -> Iterator[Way]:
    """Give ways to make a layer of torch.nn."""
    cls = classes("torch.nn.modules")[name]
    w = 2 * WIDTH // 4
    sizes: dict[str, Any] = dict.fromkeys(
        ("in_channels", "out_channels", "num_features", "num_channels", "in_features",
        "out_features", "in1_features",
         "in2_features", "num_embeddings", "embedding_dim", "embed_dim", "input_size",
         "hidden_size", "normalized_shape",
         "d_model", "dim_feedforward", "num_classes", "n_classes"), w)  # fmt: skip
    sizes |= {"kernel_size": 3, "num_groups": 4, "num_heads": 4, "nhead": 4, "num_layers": 2,
    "cutoffs": [8, 16],
              "num_encoder_layers": 2, "num_decoder_layers": 2, "bias": True, "num_chunks": 1,
              "num_parameters": w}  # fmt: skip
    for part in ("Encoder", "Decoder"):
        layer = getattr(nn, f"Transformer{part}Layer")
        sizes[f"{part.lower()}_layer"] = layer(w, 4, 2 * w, batch_first=True)
    recurrent = {"input_size": w, "hidden_size": w} if name in ("RNN", "LSTM", "GRU") else {}
    more = {k: sizes[k] for k in ("num_layers", "d_model", "nhead", "dim_feedforward",
    "num_encoder_layers",
            "num_decoder_layers", "num_parameters")}  # fmt: skip

    def build() -> nn.Module:
        torch.manual_seed(0)
        model = cls(
            **{k: sizes[k] for k in needed(cls.__init__) if k in sizes}
            | accepted(cls.__init__, more)
            | recurrent
        )
        return model

    def calls(model: nn.Module) -> Iterator[dict[str, Maker]]:
        must = needed(model.forward) or ["input"]
        if name.endswith("Cell"):
            state = (
                normal(8, w)
                if name != "LSTMCell"
                else lambda draw: (
                    torch.randn(8, w, generator=draw),
                    torch.randn(8, w, generator=draw),
                )
            )
            yield {"*": normal(8, w), "**": state}
        for shape in ((8, w), (8, 6, w), (8, w, 8), (8, w, 8, 8), (4, w, 8, 8, 8)):
            yield {f"*{k}": whole(w, 8) if "target" in k else normal(*shape) for k in must}
        yield {f"*{k}": whole(w, 8, 6) for k in must}

    yield Way("32 wide", build, calls)


def layer_names() -> list[str]:
    """Return the layers of torch.nn that have parameters, but for those that wait for an input."""
    found = []
    for name in classes("torch.nn.modules"):
        with contextlib.suppress(Exception):
            if not name.startswith("Lazy") and any(
                True for _ in next(layer_ways(name)).build().parameters()
            ):
                found.append(name)
    return found


class Library(NamedTuple):
    """A library: its package, the names of its networks, and ways to make one."""

    package: str
    names: Callable[[], list[str]]
    ways: Callable[[str], Iterator[Way]]


LIBRARIES: Mapping[str, Library] = {
    "torch.nn": Library("torch", layer_names, layer_ways),
    "torch_geometric": Library("torch_geometric", lambda: [*classes(*GRAPHS)], graph_ways),
    "torchvision": Library("torchvision", torchvision_names, torchvision_ways),
    "timm": Library("timm", timm_names, timm_ways),
    "diffusers": Library("diffusers", diffusers_names, diffusers_ways),
    "transformers": Library("transformers", transformers_names, transformers_ways),
}
