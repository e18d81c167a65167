"""What ordinary models name in their pickles: the known-safe table. Data only; `tiers.py` reads it.

A row is safe because importing the name, calling it with anything a pickle can hold, and setting state on what it
made run no code chosen by the pickle's author. What fetches attributes by name, imports by name, opens files or
evaluates text has no place here.
"""

from __future__ import annotations

TIERS_VERSION = "2026.11.4"

# module -> names, exactly. Names of Python 2 and of moved modules are mapped by tiers.py before they are looked up.
SAFE_NAMES: dict[str, str] = {
    "builtins": (
        "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple type NoneType "
        "Ellipsis NotImplemented reversed zip enumerate ArithmeticError AssertionError AttributeError BaseException "
        "BufferError EOFError Exception FileNotFoundError FloatingPointError ImportError IndexError KeyError "
        "KeyboardInterrupt LookupError MemoryError NameError NotImplementedError OSError OverflowError RecursionError "
        "RuntimeError RuntimeWarning StopIteration TimeoutError TypeError UnicodeDecodeError UnicodeError UserWarning "
        "ValueError Warning ZeroDivisionError abs len max min round sum"
    ),
    "copyreg": "_reconstructor __newobj__ __newobj_ex__",
    "collections": "OrderedDict defaultdict deque Counter ChainMap UserDict UserList UserString",
    "datetime": "date datetime time timedelta timezone tzinfo",
    "decimal": "Decimal Context",
    "fractions": "Fraction",
    "uuid": "UUID SafeUUID",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "pathlib._local": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "_codecs": "encode",
    "array": "array _array_reconstructor",
    "random": "Random",
    "re": "_compile RegexFlag",
    "enum": "Enum IntEnum Flag IntFlag",
    "ipaddress": "IPv4Address IPv4Network IPv6Address IPv6Network",
    "zoneinfo": "ZoneInfo ZoneInfo._unpickle",
    "types": "SimpleNamespace",
    "argparse": "Namespace",
    "http": "HTTPStatus HTTPMethod",
    "statistics": "NormalDist",
    "io": "BytesIO",
    "_io": "BytesIO",
    "string": "Template",
    "itertools": "chain count cycle repeat",
    "math": "exp log log10 log1p log2 sqrt",
    "_struct": "Struct",
    # numpy
    "numpy": (
        "array ndarray dtype matrix recarray record bool bool_ bytes_ str_ unicode_ string_ object_ void generic "
        "number integer int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc intp int_ uint uintc uintp longlong "
        "ulonglong byte ubyte short ushort float16 float32 float64 float128 longdouble half single double complex64 "
        "complex128 complex256 clongdouble csingle cdouble datetime64 timedelta64 poly1d nan inf finfo iinfo abs "
        "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin around cbrt ceil clip "
        "copysign cos cosh cumsum deg2rad degrees divide equal exp exp2 expm1 fabs floor fmax fmin greater hypot "
        "isfinite isinf isnan less log log10 log1p log2 logaddexp logical_and logical_not logical_or max maximum mean "
        "median min minimum mod multiply nan_to_num nanmax nanmean nanmedian nanmin nanstd nansum nanvar negative "
        "not_equal positive power prod ptp quantile rad2deg radians ravel reciprocal rint round sign sin sinh sqrt "
        "square squeeze std subtract sum tan tanh true_divide trunc unique var"
    ),
    "numpy.core.multiarray": "_reconstruct scalar array dtype ndarray",
    "numpy._core.multiarray": "_reconstruct scalar array dtype ndarray",
    "numpy.core._multiarray_umath": (
        "_reconstruct scalar exp expm1 log log10 log1p log2 sqrt square sin cos tan tanh absolute"
    ),
    "numpy._core._multiarray_umath": (
        "_reconstruct scalar exp expm1 log log10 log1p log2 sqrt square sin cos tan tanh absolute"
    ),
    "numpy.core.numeric": "_frombuffer dtype",
    "numpy._core.numeric": "_frombuffer dtype",
    "numpy.core.records": "record recarray",
    "numpy._core.records": "record recarray",
    "numpy.rec": "record recarray",
    "numpy.ma.core": "_mareconstruct MaskedArray MaskedConstant mvoid",
    "numpy.ma": "MaskedArray",
    "numpy.dtypes": "StringDType",
    "numpy._core._internal": "_convert_to_stringdtype_kwargs",
    "numpy._core.function_base": "linspace logspace geomspace",
    "numpy._globals": "_NoValueType _NoValue _CopyMode",
    "numpy.random": "RandomState Generator MT19937 PCG64 PCG64DXSM Philox SFC64 SeedSequence __RandomState_ctor",
    "numpy.random._pickle": "__randomstate_ctor __generator_ctor __bit_generator_ctor",
    "numpy.random.mtrand": "RandomState",
    "numpy.random._generator": "Generator",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "numpy.random._philox": "Philox",
    "numpy.random._sfc64": "SFC64",
    "numpy.random.bit_generator": "SeedSequence SeedlessSeedSequence __pyx_unpickle_SeedSequence",
    "numpy.random._bit_generator": "SeedSequence",
    "numpy.matrixlib.defmatrix": "matrix",
    "ml_dtypes": "bfloat16 float8_e4m3fn float8_e5m2 int4 uint4",
    # scipy
    "scipy.spatial._ckdtree": "cKDTree",
    "scipy.spatial.ckdtree": "cKDTree",
    "scipy.spatial._kdtree": "KDTree cKDTree",
    "scipy.spatial.kdtree": "KDTree",
    "scipy.interpolate._interpolate": (
        "interp1d interp1d._call_linear interp1d._call_linear_np interp1d._call_nearest interp1d._call_previousnext "
        "interp1d._call_spline interp1d._call_nan_spline PPoly _PPoly BPoly NdPPoly"
    ),
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "scipy.interpolate.interpolate": (
        "interp1d interp1d._call_linear interp1d._call_linear_np interp1d._call_nearest interp1d._call_previousnext "
        "interp1d._call_spline interp1d._call_nan_spline PPoly BPoly"
    ),
    "scipy.interpolate._bsplines": "BSpline _BSpline",
    "scipy.interpolate._cubic": "CubicSpline PchipInterpolator Akima1DInterpolator CubicHermiteSpline",
    "scipy.interpolate._fitpack2": "UnivariateSpline InterpolatedUnivariateSpline LSQUnivariateSpline",
    "scipy.interpolate._rbfinterp": "RBFInterpolator",
    "scipy.spatial.distance": "cityblock cosine euclidean sqeuclidean chebyshev correlation jaccard hamming",
    # pandas
    "pandas": "DataFrame Series Index MultiIndex RangeIndex Timestamp Timedelta Period Interval Categorical NaT NA",
    "pandas.core.indexes.base": "_new_Index Index",
    "pandas.core.indexes.datetimes": "_new_DatetimeIndex DatetimeIndex",
    "pandas.core.indexes.period": "_new_PeriodIndex PeriodIndex",
    "pandas.core.indexes.interval": "_new_IntervalIndex IntervalIndex",
    "pandas.core.internals.blocks": "new_block",
    "pandas._libs.internals": "_unpickle_block BlockPlacement BlockManager SharedBlock NumpyBlock",
    "pandas._libs.arrays": "NDArrayBacked __pyx_unpickle_NDArrayBacked",
    "pandas._libs.tslibs.timestamps": "Timestamp _unpickle_timestamp",
    "pandas._libs.tslibs.timedeltas": "Timedelta _timedelta_unpickle",
    "pandas._libs.tslibs.nattype": "_nat_unpickle __nat_unpickle NaTType",
    "pandas._libs.tslibs.period": "Period",
    "pandas._libs.tslibs.dtypes": "PeriodDtypeBase",
    "pandas._libs.missing": "NAType NA",
    "pandas._libs.interval": "Interval IntervalTree",
    "pandas._libs.properties": "CachedProperty",
    # pyarrow: what pandas' Arrow-backed columns are made of
    "pyarrow.lib": (
        "type_for_alias chunked_array py_buffer _restore_array _restore_chunked_array _reconstruct_table "
        "_reconstruct_record_batch field schema struct list_ large_list dictionary timestamp duration time32 time64 "
        "decimal128 decimal256 fixed_size_binary ChunkedArray Array StringArray LargeStringArray Buffer Schema Field "
        "DataType Table RecordBatch scalar"
    ),
    # time zones
    "pytz": "_UTC _p",
    "pytz.tzinfo": "DstTzInfo StaticTzInfo",
    "dateutil.relativedelta": "relativedelta weekday",
    "dateutil.tz.tz": "tzutc tzlocal tzoffset tzfile",
    # scikit-learn: what HistGradientBoosting with categories holds in a partial object; see ONLY_HELD
    "sklearn.utils.validation": "check_array",
    # joblib
    "joblib.numpy_pickle": "NumpyArrayWrapper",
    "sklearn.externals.joblib.numpy_pickle": "NumpyArrayWrapper",
    # gradient boosting
    "lightgbm.basic": "Booster",
    "xgboost.core": "Booster",
    "catboost.core": "CatBoost CatBoostClassifier CatBoostRegressor CatBoostRanker",
    # torch
    "torch": (
        "Size device dtype Tensor Generator BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage "
        "ComplexFloatStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage QInt8Storage QUInt8Storage "
        "QInt32Storage ShortStorage UntypedStorage bfloat16 bool complex128 complex64 double float float16 float32 "
        "float64 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu half int int16 int32 int64 "
        "int8 long qint8 quint8 qint32 short strided FloatTensor DoubleTensor HalfTensor LongTensor IntTensor "
        "ShortTensor CharTensor ByteTensor "
        "sparse_coo sparse_csr uint8 uint16 uint32 uint64 contiguous_format per_tensor_affine per_channel_affine relu "
        "sigmoid tanh softmax"
    ),
    "torch._utils": (
        "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state "
        "_rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_meta_tensor_no_storage "
        "_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor _rebuild_xla_tensor "
        "_rebuild_nested_tensor"
    ),
    "torch.jit._pickle": (
        "build_intlist build_tensorlist build_doublelist build_boollist build_tensor_from_id restore_type_tag"
    ),
    "torch._tensor": "Tensor _rebuild_from_type _rebuild_from_type_v2",
    "torch.serialization": "_get_layout",
    "torch.storage": "TypedStorage UntypedStorage _TypedStorage _UntypedStorage",
    "torch.nn.parameter": "Parameter Buffer UninitializedParameter UninitializedBuffer",
    "torch.nn.functional": (
        "relu relu6 gelu elu selu silu mish leaky_relu softmax log_softmax sigmoid tanh softplus hardswish "
        "cross_entropy mse_loss l1_loss nll_loss binary_cross_entropy binary_cross_entropy_with_logits"
    ),
    "torch.optim.optimizer": "Optimizer _RequiredParameter",
    # keras: the classes of pickled models, whose bytes their loader is given
    "keras.src.models.sequential": "Sequential",
    "keras.src.models.functional": "Functional",
    "keras.src.models.model": "Model",
}

# Functions of the table above that models hold and that nothing calls while they are loaded: safe only so, and in a
# partial object that nothing calls either. check_array calls methods of what it is given.
ONLY_HELD = frozenset({("sklearn.utils.validation", "check_array")})

# (module, or a prefix ending in "."; what a safe name looks like there). Classes only, unless the row says otherwise.
CLASS = r"_{0,2}(?:[A-Z]\w*[a-z]\w*|[A-Z][A-Z0-9]+)"
PYX = r"__pyx_unpickle_[A-Z]\w*"
SAFE_PATTERNS: tuple[tuple[str, str], ...] = (
    ("numpy.dtypes", r"[A-Z]\w*DType"),
    ("numpy.polynomial.", r"Polynomial|Chebyshev|Legendre|Laguerre|Hermite|HermiteE"),
    ("scipy.sparse.", r"(?:csr|csc|coo|bsr|dia|dok|lil)_(?:matrix|array)|spmatrix|sparray"),
    ("scipy.special._ufuncs", r"[a-z]\w*"),
    ("scipy.special._special_ufuncs", r"[a-z]\w*"),
    ("scipy.special._gufuncs", r"[a-z]\w*"),
    ("scipy.optimize._optimize", r"OptimizeResult"),
    ("scipy.optimize.optimize", r"OptimizeResult"),
    ("scipy.spatial.transform.", r"Rotation|Slerp"),
    ("sklearn.", rf"{CLASS}|{PYX}|newObj"),
    (
        "sklearn.metrics.",
        r"(?:\w+_)?(?:score|scores|loss|error|distances?|kernel|matrix|deviance|curve|support|coefficient)|auc",
    ),
    ("sklearn.feature_selection.", r"(?:mutual_info_|f_|r_)\w+|chi2"),
    ("sklearn.preprocessing._function_transformer", r"_identity"),
    ("sklearn.compose._column_transformer", r"make_column_selector"),
    ("sklearn.cluster._kmeans", r"_kmeans_single_\w+"),
    ("sklearn.cluster._k_means", r"_k_?means_single_\w+"),
    ("imblearn.", CLASS),
    ("category_encoders.", CLASS),
    ("lightgbm.sklearn", r"LGBM\w+|_\w*ObjectiveFunctionWrapper|_\w*EvalFunctionWrapper|_LGBM\w+"),
    ("xgboost.sklearn", r"XGB\w+"),
    ("pandas", r"\w+(?:Dtype|Index)|DateOffset"),
    ("pandas.arrays", CLASS),
    ("pandas._libs.sparse", CLASS),
    ("pandas._libs.interval", PYX),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.series", "Series"),
    ("pandas.core.flags", "Flags"),
    ("pandas.core.indexes.", CLASS),
    ("pandas.core.arrays.", CLASS),
    ("pandas.core.internals.", CLASS),
    ("pandas.core.dtypes.", CLASS),
    ("pandas._libs.tslibs.", rf"{CLASS}|{PYX}"),
    ("pandas._libs.missing", PYX),
    ("pandas.tseries.offsets", CLASS),
    ("pyarrow.lib", r"[A-Z]\w*(?:Array|Type|Scalar)"),
    ("torch.nn.modules.", CLASS),
    ("torch.optim.", CLASS),
)

# Safe packages' corners where the patterns above do not hold: fetching, executing or test helpers.
NOT_SAFE: tuple[str, ...] = (
    "sklearn.externals.",
    "sklearn.utils._testing",
    "sklearn.datasets.",
    "sklearn.utils.parallel",
    "sklearn.utils.fixes",
    "sklearn.utils._mocking",
    "sklearn.utils.metaestimators",
    "sklearn.utils._joblib",
    "sklearn.utils.deprecation",
    "sklearn.conftest",
    "sklearn.tests.",
    "torch.nn.modules.module.torch",
    "pandas.core.arrays.arrow.accessors",
)

# Names that modules in the patterns above import from elsewhere, and that are not theirs to be trusted for.
_FOREIGN_NAMES_TEXT = """
BufferedReader BytesIO Client Condition Connection Event ExcelFile FileIO HDFStore Listener Lock LokyBackend
Manager Memory NpzFile Parallel Path Pickler Pool Popen Process ProcessPoolExecutor Queue Redirect Request
Session StringIO TemporaryDirectory TextIOWrapper Thread ThreadPool ThreadPoolExecutor Timer Unpickler URLError
ZipFile MethodType BuiltinFunctionType ModuleType SimpleNamespace Parameter Signature NamedTuple TypedDict ForwardRef
Callable Protocol TypeVar NewType Progress Console Live PrettyDict MappingProxyType GenericAlias WeakMethod
"""
FOREIGN_NAMES = frozenset(_FOREIGN_NAMES_TEXT.split())

# Methods of text that only compute, held as functions: `str.lower` as a preprocessor.
_METHODS = """
capitalize casefold count endswith find isalnum isalpha isdecimal isdigit islower isnumeric isspace istitle isupper
lower lstrip rstrip split splitlines startswith strip swapcase title upper
"""
METHODS_OF_TEXT = frozenset(f"str.{name}" for name in _METHODS.split())

# Standard library names that models do carry and that run nothing by themselves: noted, not safe.
NOTED: dict[str, str] = {
    "operator": "itemgetter",
    "_operator": "itemgetter add sub mul truediv neg pos abs eq ne lt le gt ge and_ or_ not_",
    "functools": "cached_property total_ordering",
    "logging": "Logger getLogger StreamHandler Formatter",
    "weakref": "WeakKeyDictionary WeakValueDictionary ref",
    "dataclasses": "_HAS_DEFAULT_FACTORY_CLASS _MISSING_TYPE",
    "typing": "Any Optional Union",
    "abc": "ABC ABCMeta",
    "numbers": "Number Real Integral",
    "contextlib": "nullcontext",
    "time": "time perf_counter struct_time",
    "textwrap": "dedent",
    "statistics": "mean median mode stdev",
    "calendar": "Calendar TextCalendar",
    "queue": "Queue",
    "email.message": "Message",
    "__main__": "*",
    "builtins": (
        "print property staticmethod classmethod super callable isinstance hash id repr any all sorted pow divmod "
        "iter next"
    ),
}
