"""Names that only a pickle made to do harm has a use for: what runs code, opens files or connections, or claims memory.

Nothing that a file names is ever imported or called, whatever its name; a file that names one of these is refused whole,
since whoever else opens it would run it. Which names: https://docs.python.org/3/library/audit_events.html and what
scanners of pickles look for, https://github.com/mmaitre314/picklescan
"""

from .values import NAME_AT_MOST, PLAIN, Refused

MODULES = frozenset((
    "SocketServer", "_posixsubprocess", "_pickle", "aiohttp", "asyncio", "bdb", "cPickle", "cProfile", "codeop", "ctypes", "distutils",
    "ensurepip", "ftplib", "httplib", "idlelib", "importlib", "joblib", "lib2to3", "linecache", "marshal", "mmap",
    "multiprocessing", "nt", "os", "pdb", "pickle", "pip", "pkgutil", "popen2", "posix", "pty", "pydoc",
    "rlcompleter", "runpy", "shelve", "shutil", "smtplib", "socket", "socketserver", "subprocess", "sys",
    "telnetlib", "urllib", "urllib2", "venv", "webbrowser", "xmlrpc", "xmlrpclib", "zipimport",
))  # fmt: skip
BUILTINS = frozenset((
    "__import__", "apply", "breakpoint", "compile", "delattr", "dir", "eval", "exec", "execfile", "exit", "file",
    "globals", "help", "input", "locals", "open", "quit", "raw_input", "reload", "setattr", "vars",
))  # fmt: skip
WITHIN = frozenset((
    "os", "sys", "posix", "nt", "subprocess", "builtins", "__builtin__", "__builtins__", "__globals__",
    "__import__", "importlib",
))  # fmt: skip
OTHERS = frozenset((
    "torch load", "torch.serialization load", "torch.jit load", "torch.jit._serialization load", "numpy load",
    "code interact", "code InteractiveInterpreter", "code InteractiveConsole", "commands getoutput", "profile run",
    "profile Profile", "timeit timeit", "timeit repeat", "timeit Timer", "trace Trace", "imp load_source",
    "io open", "_io open", "io open_code", "_io open_code", "io FileIO", "_io FileIO",
))  # fmt: skip
OTHER_MODULES = (
    "torch.hub", "torch.package", "torch.utils.collect_env", "torch.utils.cpp_extension", "torch.utils.model_zoo",
    "numpy.f2py", "numpy.testing", "numpy.distutils", "test.support",
)  # fmt: skip
CLAIMS = frozenset(("builtins bytearray", "__builtin__ bytearray", "builtins bytes", "__builtin__ bytes"))
CLAIMING = ("Tensor", "Storage", " empty", " zeros", " ones")  # how names of torch's end that make tensors of a length


def runs_code(name: str) -> bool:
    """Whether a name, "module name", is one that runs code, or reaches such a module through another."""
    module, _, within = name.partition(" ")
    parts = within.split(".")
    if module in ("builtins", "__builtin__"):
        return parts[0] in BUILTINS or not WITHIN.isdisjoint(parts)
    return (
        module.partition(".")[0] in MODULES
        or name in OTHERS
        or any(module == other or module.startswith(f"{other}.") for other in OTHER_MODULES)
        or not WITHIN.isdisjoint(parts)
    )


def claims_memory(name: str, arguments: tuple[object, ...]) -> bool:
    """Whether a call makes an object of a length that is only said, or shows memory that nothing was written to."""
    is_torch = name.startswith(("torch ", "torch.cuda ")) and name.endswith(CLAIMING)
    return (name in CLAIMS or is_torch) and any(type(argument) is int for argument in arguments)


def contains_code(name: str) -> Refused:
    """The refusal of a file that names something which no weights need."""
    return Refused(
        f"contains code, or objects beyond weights: it names {name.replace(' ', '.')[:NAME_AT_MOST]!r}. Nothing of it was "
        f"run; {PLAIN}."
    )
