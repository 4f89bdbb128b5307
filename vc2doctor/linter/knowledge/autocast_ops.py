"""Which operations autocast runs in float32, which in half precision, and which follow their input.

Source: the lists of operations at https://docs.pytorch.org/docs/stable/amp.html#cuda-op-specific-behavior (torch 2.9).
An operation on neither list follows its input: ``sigmoid``, ``mean``, ``sqrt``, ``mul`` and ``clamp`` of half values
are half, also under autocast.
"""

FLOAT32_OPS = frozenset(
    {
        *("acos", "asin", "binary_cross_entropy_with_logits", "cosh", "cosine_embedding_loss", "cdist"),
        *("cosine_similarity", "cross_entropy", "cumprod", "cumsum", "dist", "erfinv", "exp", "expm1", "group_norm"),
        *("hinge_embedding_loss", "kl_div", "l1_loss", "layer_norm", "log", "log10", "log_softmax", "log1p", "log2"),
        *("margin_ranking_loss", "mse_loss", "multilabel_margin_loss", "multi_margin_loss", "nll_loss", "norm"),
        *("normalize", "pdist", "poisson_nll_loss", "pow", "prod", "reciprocal", "rsqrt", "sinh", "smooth_l1_loss"),
        *("soft_margin_loss", "softmax", "softmin", "softplus", "sum", "renorm", "tan", "triplet_margin_loss"),
    }
)
"""Operations that autocast runs in float32."""
HALF_OPS = frozenset(
    {
        *("addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "multi_dot", "conv1d", "conv2d"),
        *("conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "matmul", "mm", "mv"),
        *("einsum", "scaled_dot_product_attention"),
    }
)
"""Operations that autocast runs in half precision, whatever dtype their inputs have. ``einsum`` calls ``bmm``."""
MATRIX_PRODUCTS = frozenset({"matmul", "mm", "bmm", "mv", "einsum", "baddbmm", "addmm"})
"""The operations among them that multiply two tensors which the code computes."""
FOLLOWING_OPS = frozenset(
    {
        *("abs", "amax", "amin", "chunk", "clamp", "clamp_max", "clamp_min", "clip", "clone", "contiguous", "detach"),
        *("dropout", "expand", "expand_as", "flatten", "flip", "gather", "gelu", "index_select", "leaky_relu"),
        *("masked_fill", "masked_select", "max", "mean", "min", "narrow", "neg", "pad", "permute", "relu", "repeat"),
        *("reshape", "roll", "rot90", "select", "sigmoid", "silu", "split", "sqrt", "square", "squeeze", "std", "t"),
        *("tanh", "transpose", "unbind", "unfold", "unsqueeze", "var", "view", "where", "repeat_interleave"),
        *("cuda", "cpu", "requires_grad_", "swapaxes", "movedim", "unflatten", "logsigmoid", "interpolate"),
    }
)
"""Operations that give the dtype of their input, with and without autocast."""
WIDENING_OPS = frozenset({"add", "sub", "mul", "div", "cat", "concat", "stack", "maximum", "minimum", "dot", "lerp"})
"""Operations that give the widest dtype of their inputs."""

SETS_OWN_DTYPE = frozenset({"custom_fwd", "custom_bwd"})
"""Decorators that decide in which dtype a function computes."""

HALF_LAYERS = ("Linear", "Conv", "LSTM", "GRU", "Bilinear", "MultiheadAttention")
"""Beginnings of the names of torch's layers that autocast runs in half precision."""
FLOAT32_LAYERS = ("LayerNorm", "GroupNorm", "Softmax", "LogSoftmax", "Embedding", "Softplus")
"""Beginnings of the names of torch's layers whose result is float32 under autocast."""

FLOAT32_ONLY = frozenset(
    {
        *("inv", "pinv", "inverse", "pinverse", "svd", "svdvals", "qr", "cholesky", "cholesky_solve", "eigh", "eig"),
        *("eigvals", "eigvalsh", "lstsq", "lu_factor", "det", "slogdet", "logdet", "solve_triangular", "quantile"),
        *("nanquantile",),
    }
)
"""Operations that raise for half precision, with torch 2.13: linear algebra and quantiles. Autocast casts none of them.

"linalg.inv: Low precision dtypes not supported. Got Half", "quantile() input tensor must be either float or double".
"""
NO_BFLOAT16 = frozenset({"fft", "ifft", "rfft", "irfft", "fft2", "ifft2", "rfft2", "irfft2", "fftn", "rfftn", "stft"})
"""Spectra that raise for bfloat16: "Unsupported dtype BFloat16"."""
SMALLEST_FLOAT16 = 2.0**-24
"""The smallest float16 above zero. Half of it and less is zero."""
LARGEST_FLOAT16 = 65504.0
