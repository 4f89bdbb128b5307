"""The named causes of a training that ends with an exception: by its message, and by facts about data and model.

They are asked after those in causes.py, none of which names the cause of an exception.
"""

import re

from vc2doctor.probe.case import Case, peft_origin
from vc2doctor.probe.named_cause import cause

_SHAPES = re.compile(
    r"shapes? cannot be multiplied|size of tensor a|must match the size|input_size|shape mismatch|shape '.*' is invalid"
    r"|Sizes of tensors must match|mat1 dim"
)

_DTYPES = re.compile(r"same dtype|expected scalar type|must match.*dtype|expected .*dtype")
_WRITTEN = re.compile(r"destination dtypes match|self and source.*same dtype|dtype to be equal to src|same scalar type")
"""Messages of ``x[i] = y``, ``masked_scatter``, ``scatter`` and ``index_add`` with an y of another dtype than x."""
_SPARSE = re.compile(r"(sparse|dense) gradients|from the 'Sparse(CPU|CUDA)' backend")
_CHECKPOINT = re.compile(r"during the original forward and recomputation|Recomputed values for the following tensors")


@cause(
    "Cast the trainable parameters to float32 after get_peft_model: `for p in model.parameters(): p.data ="
    " p.data.float() if p.requires_grad else p.data`."
)
def unscale_half_parameters(case: Case) -> str | None:
    """Find the exception of a GradScaler that gets float16 gradients."""
    if "Attempting to unscale FP16 gradients" not in case.error:
        return None
    return f"the trainable parameters are float16, and GradScaler refuses float16 gradients{peft_origin(case)}"


@cause(
    "Use one half precision everywhere: give the autocast inside forward the dtype of the outer autocast and of the"
    " weights."
)
def autocast_dtype_clash(case: Case) -> str | None:
    """Find the exception of an operation that gets both float16 and bfloat16."""
    if not re.search(r"autocast::prioritize|BFloat16.*Half|Half.*BFloat16", case.error):
        return None
    nested = case.recipe.inner is not None and case.recipe.inner != case.recipe.base
    reason = f": a nested {case.recipe.inner} autocast runs on {case.recipe.base} weights" if nested else ""
    return f"one operation gets both float16 and bfloat16 tensors{reason}"


@cause("Convert the labels before the loss: `labels.long()` for classes; the loss of numbers is mse_loss or l1_loss.")
def labels_are_no_integers(case: Case) -> str | None:
    """Find the exception of a loss over classes that gets labels of another dtype than integers."""
    if not re.search(r"expected target dtype to be Long|expected scalar type Long but found|target.*Long", case.error):
        return None
    return f"a loss over classes needs integers as labels, and gets another dtype: {case.error}"


@cause("Run the frozen part under torch.no_grad instead of torch.inference_mode, or clone its output within the graph.")
def inference_tensor(case: Case) -> str | None:
    """Find the exception of a tensor of inference_mode that a trained layer gets."""
    if "nference tensor" not in case.error:
        return None
    return "a layer that is trained gets a tensor that was computed in inference_mode, which keeps no graph through it"


@cause(
    "Decorate forward and backward of the Function with `torch.amp.custom_fwd(device_type=...)` and"
    " `torch.amp.custom_bwd(device_type=...)`, or cast in backward to the dtype of the tensors that were saved."
)
def backward_outside_autocast(case: Case) -> str | None:
    """Find a dtype error of a custom autograd Function, whose backward pass runs outside of autocast."""
    failure = case.run.failure
    if failure is None or failure.backward_function is None or not case.recipe.outer or not _DTYPES.search(case.error):
        return None
    return (
        f"the backward function of {failure.backward_function} runs outside of autocast, and combines the dtypes of"
        f" autocast with those of the weights: {case.error}"
    )


@cause("Convert the tensor before NumPy gets it: `x.detach().float().cpu().numpy()`.")
def numpy_without_bfloat16(case: Case) -> str | None:
    """Find the exception of a bfloat16 tensor that is given to NumPy."""
    if not re.search(r"unsupported ScalarType BFloat16", case.error):
        return None
    return f".numpy() gets a bfloat16 tensor{_at(case)}, and NumPy has no bfloat16"


def _at(case: Case) -> str:
    error = case.run.failure.error if case.run.failure is not None else None
    return f" at {error.file}:{error.line}" if error is not None and error.file else ""


@cause(
    "Use SparseAdam (or SGD) for the embeddings with `sparse=True`, and another optimizer for the other parameters; or"
    " leave `sparse` at False. Leave sparse gradients out of what clips or measures gradients."
)
def sparse_gradients(case: Case) -> str | None:
    """Find the exception of an optimizer, or of a norm, that does not take sparse gradients, or only those."""
    if not _SPARSE.search(case.error):
        return None
    return (
        "an embedding with sparse=True has sparse gradients, all other layers have dense ones, and not every optimizer"
        f" takes both: {case.error.partition('. ')[0].rstrip('.')}"
    )


@cause(
    "Compute the attention that the penalty differentiates twice without a fused kernel: under"
    " `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, or with `attn_implementation='eager'`. Replace other functions"
    " by the plain operations that they stand for."
)
def no_second_derivative(case: Case) -> str | None:
    """Find the exception of a function that can be differentiated once only, such as a fused attention."""
    found = re.search(r"derivative for (?:aten::)?(\w+) is not implemented", case.error)
    if found is None:
        return None
    what = f"{found[1].strip('_').removesuffix('_backward')} has no second derivative"
    node = case.run.once_only
    line = f" (the gradient is computed at {node.file}:{node.line})" if node is not None and node.file else ""
    return f"{what}, and a loss that holds a gradient, such as a gradient penalty, needs one{line}"


@cause(
    "Cast the input to the dtype of the weights, or run the call under autocast. Cast what is written into another"
    " tensor to the dtype of that tensor: `x[mask] = y.to(x.dtype)`."
)
def dtype_mismatch(case: Case) -> str | None:
    """Find the exception of an operation whose input and weights differ in dtype."""
    if _WRITTEN.search(case.error):
        return f"a value is written into a tensor of another dtype{_at(case)}: {case.error.rstrip('.')}"
    if not _DTYPES.search(case.error):
        return None
    return f"a tensor and the weights differ in dtype, and no autocast converts them: {case.error}"


@cause(
    "Pass `use_reentrant=False` to gradient checkpointing"
    " (`gradient_checkpointing_kwargs={'use_reentrant': False}`), or call `model.enable_input_require_grads()` before"
    " training."
)
def reentrant_checkpointing(case: Case) -> str | None:
    """Find reentrant checkpointing over inputs that need no gradient, where gradients are missing."""
    blocks = case.run.checkpointed
    last = case.run.steps[-1].gradients if case.run.steps else None
    if not blocks or not (_has_no_graph(case) or (last is not None and last.missing)):
        return None
    return (
        f"reentrant gradient checkpointing runs {blocks[0]} without a graph, because none of its inputs requires a"
        " gradient: what comes before it is frozen"
    )


@cause(
    "Run the forward pass of training outside of torch.no_grad and torch.inference_mode, and look for `no_grad` as a"
    " decorator."
)
def gradients_switched_off(case: Case) -> str | None:
    """Find trainable modules that are called while gradients are switched off."""
    graph = case.run.graph
    off = next((each for each in graph.modules if each.called and not each.enabled), None) if graph else None
    if off is None:
        return None
    return f"gradients are switched off (no_grad or inference_mode) while {_named(off.module)} runs"


@cause(
    "Use the output of this module in the loss, and remove what cuts the graph between them: .detach(), .item(), .data,"
    " .numpy(), torch.tensor(x), argmax, or a cast to integers."
)
def graph_cut(case: Case) -> str | None:
    """Find trainable modules whose output has a graph, although the loss does not depend on it."""
    graph = case.run.graph
    candidates = graph.modules if graph else ()
    cut = next((each for each in candidates if each.called and each.graph and not each.partly), None)
    if graph is None or cut is None:
        return None
    if graph.loss:
        return (
            f"{_named(cut.module)} runs with gradients on, but the loss does not depend on its output: the output is"
            " not used, or the graph is cut after it"
        )
    return f"the loss has no graph: it is cut after {_named(graph.last or cut.module)}, the last module that has one"


def _named(module: str) -> str:
    return module or "the model itself"


def _has_no_graph(case: Case) -> bool:
    return "does not require grad" in case.error


@cause(
    "Make adapters or layers trainable, call get_peft_model before you create the optimizer, and do not disable the"
    " adapters while you train."
)
def nothing_trainable(case: Case) -> str | None:
    """Find the exception of a training without a trainable parameter."""
    if "empty parameter list" not in case.error and not _has_no_graph(case):
        return None
    return f"no parameter that the loss depends on requires a gradient{_tied_clause(case)}"


def _tied_clause(case: Case) -> str:
    """Return a clause on parameters that two modules share: to freeze one of them freezes both."""
    tied = case.probe.inspection.tied if case.probe.inspection is not None else ()
    if not tied:
        return ""
    first, *others = tied[0]
    return f"; {first} is the same tensor as {others[0]}, so freezing one freezes both"


@cause(
    "Decide what the checkpointed function computes outside of it, and pass the decision as an argument: nothing in it"
    " may depend on Python's or NumPy's random numbers, on a counter, or on the autocast of the caller."
)
def recomputation_differs(case: Case) -> str | None:
    """Find the exception of a gradient checkpoint whose recomputation is not what the forward pass computed."""
    if not _CHECKPOINT.search(case.error):
        return None
    found = case.run.recomputation
    place = f" ({found.file}:{found.line})" if found is not None and found.file else ""
    dtypes = [set(re.findall(r"torch\.(float\w+|bfloat16)", line)) for line in _metadata(case.error)]
    if len(dtypes) == 2 and dtypes[0] != dtypes[1]:  # noqa: PLR2004 - the saved and the recomputed values
        how = "in another dtype, so it runs under another autocast"
    else:
        how = "differently, so it takes another branch"
    why = ""
    if found is not None and found.generator is not None:
        why = f"; the forward pass draws from {found.generator}, which torch does not restore for it"
    return f"the backward pass recomputes a checkpointed function{place} {how}{why}"


def _metadata(error: str) -> list[str]:
    return re.findall(r"(?:saved|recomputed) metadata: (.*)", error)


@cause(
    "Replace the in-place operation (`x += y`, `x[i] = y`, `relu_`, `inplace=True`) by one that makes a new tensor, or"
    " work on a clone."
)
def changed_in_place(case: Case) -> str | None:
    """Find the exception of a tensor that was changed in place although the backward pass needs it."""
    if not re.search(r"modified by an inplace operation|leaf [Vv]ariable .*in-?place|view of a leaf", case.error):
        return None
    return f"a tensor that the backward pass needs, or a trainable parameter itself, is changed in place: {case.error}"


@cause("Detach what is kept from one step to the next (`state = state.detach()`), and call backward once per loss.")
def graph_used_twice(case: Case) -> str | None:
    """Find the exception of a second backward pass through the same graph."""
    if "backward through the graph a second time" not in case.error:
        return None
    return "a tensor with the graph of an earlier step, or an earlier loss, is used again in the next backward pass"


@cause(
    "Make ids and labels fit the model: call `model.resize_token_embeddings(len(tokenizer))` after adding tokens,"
    " truncate to the model's length, count classes from 0, and use -100 for labels to ignore."
)
def index_out_of_range(case: Case) -> str | None:
    """Find the exception of a token id, a position or a label that is outside of its table."""
    if not re.search(r"index out of range|Target -?\d+ is out of bounds|device-side assert|out of bounds", case.error):
        return None
    target = re.search(r"Target (-?\d+) is out of bounds", case.error)
    if target is not None:
        return f"the label {target[1]} is not a class of the output"
    return _too_large_id(case) or f"an id, a position or a label lies outside of its table: {case.error}"


def _too_large_id(case: Case) -> str | None:
    """Return which ids exceed the embeddings; ``None``: the model has none.

    Only ids that exceed the largest embedding, which is that of the tokens, are certain to be the wrong ones.
    """
    inspection = case.probe.inspection
    if inspection is None or not inspection.embeddings:
        return None
    name, rows = max(inspection.embeddings.items(), key=lambda each: each[1])
    for ids, largest in inspection.largest_ids.items():
        if largest >= rows and "label" not in ids and "mask" not in ids:
            return f"{ids} holds {largest}, but {_named(name)} has {rows} rows (0 to {rows - 1})"
    tables = ", ".join(f"{_named(each)} has {count}" for each, count in inspection.embeddings.items())
    return f"an id, or the position of a token in a long row, is outside of the rows of an embedding ({tables})"


@cause("Use the same device for model and batch: `.to(model.device)`, and `register_buffer` for constants of a module.")
def devices_differ(case: Case) -> str | None:
    """Find the exception of an operation with tensors on two devices."""
    if not re.search(r"same device|different from other tensors on", case.error):
        return None
    return f"one operation gets tensors on two devices: {case.error}"


@cause(
    "Use fewer or shorter rows in a batch, gradient checkpointing, or a base in 4 bits; or a machine with more memory."
)
def out_of_memory(case: Case) -> str | None:
    """Find a training that needs more memory than there is."""
    failure = case.run.failure
    if failure is None or not failure.memory:
        return None
    return f"there is not enough memory in the {failure.phase} phase"


@cause("Use batches with more than one row, `drop_last=True` in the DataLoader, or GroupNorm or LayerNorm.")
def one_value_per_channel(case: Case) -> str | None:
    """Find the exception of a BatchNorm that gets a single value per channel."""
    if "more than 1 value per channel" not in case.error:
        return None
    return "BatchNorm in training mode gets one value per channel, and a single value has no variance"


@cause("Compare the two shapes in the message with the widths in the configuration of the module that is named.")
def shapes_differ(case: Case) -> str | None:
    """Find the exception of tensors whose shapes do not fit together."""
    if not _SHAPES.search(case.error):
        return None
    return f"the shapes of two tensors do not fit together: {case.error}"
