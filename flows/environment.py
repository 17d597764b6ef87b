"""The environment of a process, looked at before Prefect, GDAL or numba is imported.

What other installations have left in it is made harmless where it can be; what cannot is told in
one sentence, before those libraries tell it in a traceback. Each module that a command or a worker
starts with imports this one first: libraries read some variables when they are imported.
"""

import gc
import io
import os
import sys
import tempfile
from contextlib import redirect_stderr
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from landcover.errors import LandcoverError, SettingsError

# Where the wheels keep what they bring along. conda's packages and those of distributions keep it
# elsewhere, and the variables may be how they find it.
_OWN_DATA = {
    "rasterio": ("proj_data/proj.db", "gdal_data"),
    "pyogrio": ("proj_data/proj.db", "gdal_data"),
    "pyproj": ("proj_dir/share/proj/proj.db",),
}

# Of another installation's PROJ and GDAL: data of other versions, drivers built for them.
_OTHER_INSTALLATIONS = (
    *("PROJ_LIB", "PROJ_DATA", "PROJ_AUX_DB"),
    *("GDAL_DATA", "GDAL_DRIVER_PATH", "OGR_DRIVER_PATH", "GDAL_CONFIG_FILE"),
)

# With these the same file has other pixels, another mask or another place.
_OTHER_PIXELS = (
    *("GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_PAM_ENABLED", "GDAL_GEOREF_SOURCES", "GDAL_SKIP"),
    *("GTIFF_POINT_GEO_IGNORE", "GTIFF_FORCE_RGBA", "GTIFF_SRS_SOURCE", "OGR_SKIP"),
    "OSR_DEFAULT_AXIS_MAPPING_STRATEGY",
)

# How many objects are made before Python looks for those that only refer to each other. After 700,
# as it does by itself, that is a quarter of the time in which libraries are imported.
_GARBAGE = 50_000

# Where numba keeps what it compiles, if it can.
_KERNELS = Path(__file__).parents[1] / "landcover" / "maps" / "__pycache__"

_LOCAL = ("localhost", "127.0.0.1", "::1")


def prepare() -> None:
    """Make the environment harmless, and tell what cannot be.

    Raises:
        SettingsError: if `.env`, TMPDIR, PREFECT_HOME or a setting of Prefect's cannot be used.
        LandcoverError: if this system or its folders will not do.
    """
    gc.set_threshold(_GARBAGE)
    check_system(os.name)
    forget_other_installations()
    reach_this_machine_directly()
    if not _asks_for_help():
        check_folders()
        check_env_file(Path(".env"))
    place_caches()
    import_prefect()


def _asks_for_help() -> bool:
    return not {"-h", "--help"}.isdisjoint(sys.argv[1:])


def check_system(name: str) -> None:
    """Make sure that this is not Windows, before a module is missing that Windows has not.

    Args:
        name: of the system, as `os.name` has it.
    """
    if name == "nt":
        raise LandcoverError(
            "Windows is not supported: run this under WSL 2, the Windows Subsystem for Linux "
            "(wsl --install)."
        )


def forget_other_installations() -> None:
    """Drop what points to another installation's PROJ and GDAL, if the wheels bring their own."""
    names = [*_OTHER_PIXELS, *(_OTHER_INSTALLATIONS if _bring_their_own() else ())]
    for name in names:
        os.environ.pop(name, None)


def _bring_their_own() -> bool:
    for library, places in _OWN_DATA.items():
        found = find_spec(library)
        folders = (found.submodule_search_locations if found else None) or []
        if not all(any(Path(folder, place).exists() for folder in folders) for place in places):
            return False
    return True


def reach_this_machine_directly() -> None:
    """Keep proxies from what is on this machine, such as Prefect's own server.

    Without a proxy nothing is set: what is set here would hide macOS's own proxies.
    """
    proxies = {name for name in os.environ if name.lower().endswith("_proxy")}
    proxies -= {"no_proxy", "NO_PROXY"}
    for name in [name for name in proxies if not _is_usable(os.environ[name])]:
        del os.environ[name]
        proxies.remove(name)
    if proxies:
        set_already = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        hosts = [host.strip() for host in set_already.split(",") if host.strip()]
        hosts += [host for host in _LOCAL if host not in hosts]
        # curl and Python prefer the small letters, others know the capitals only.
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)


def _is_usable(proxy: str) -> bool:
    """Tell whether Prefect's client knows a proxy's kind: of another it makes a traceback.

    GNOME writes socks://, which no library but curl knows.
    """
    kind = urlsplit(proxy).scheme if "://" in proxy else "http"
    return (
        not proxy
        or kind in {"http", "https"}
        or (kind in {"socks5", "socks5h"} and find_spec("socksio") is not None)
    )


def check_folders() -> None:
    """Make sure that there is a working folder, and a folder for temporary files.

    Raises:
        LandcoverError: if the working folder was removed, or no folder takes temporary files.
        SettingsError: if TMPDIR is set to a folder that does not.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise LandcoverError(
            "The folder in which this was started is not there any more: change to one that is."
        ) from None
    named = os.environ.get("TMPDIR")
    if named and not (Path(named).is_dir() and can_write(Path(named))):
        raise SettingsError(
            f"TMPDIR is {named}, where this user cannot write: create it, unset TMPDIR, or set it "
            "to a folder with room for temporary files."
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise LandcoverError(
            "No folder takes temporary files: set TMPDIR to one where this user may write and "
            "whose disk is not full."
        ) from None


def check_env_file(path: Path) -> None:
    """Make sure that a file of settings can be read to its end, by Prefect too.

    Args:
        path: where it is, if there is one.

    Raises:
        SettingsError: if it cannot be read, or a line is not a setting.
    """
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise SettingsError(
            f"The settings {path.absolute()} cannot be read ({error.strerror}): let this user read "
            "that file."
        ) from None
    if fault := _fault_of(content):
        raise SettingsError(f"The settings {path.absolute()} cannot be read: {fault}")


def _fault_of(content: bytes) -> str | None:
    """Say what is wrong with the content of a file of settings; None where all is well."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        return "it is in UTF-16, which Notepad calls Unicode; save it as UTF-8."
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return (
                f"line {number}{_shown(line.decode('latin1'))} is not in UTF-8 "
                f"(byte {line[error.start]:#x} at column {error.start + 1}); save the file as "
                "UTF-8."
            )
    for statement in parse_stream(io.StringIO(content.decode("utf-8-sig"))):
        if statement.error:
            written = statement.original.string
            number = statement.original.line + len(written) - len(written.lstrip("\r\n"))
            return (
                f"line {number}{_shown(written)} is not NAME=value, or its quotation mark is not "
                "closed; correct it, or put # before it."
            )
    return None


def _shown(line: str) -> str:
    """Return the name of a setting; what else a line holds may be secret."""
    name = line.partition("=")[0].strip()
    return f" ({name})" if name.isidentifier() and name.isupper() else ""


def settings_of(path: Path) -> dict[str, str | None]:
    """Return the settings in a file; none where it cannot be read, which `check_env_file` tells.

    Args:
        path: where it is, if there is one.
    """
    try:
        return dotenv_values(path)
    except (OSError, ValueError):
        return {}


def place_caches() -> None:
    """Give libraries a folder for what they keep, where their usual one cannot be written.

    Raises:
        SettingsError: if PREFECT_HOME is set, or holds something already, and cannot be written.
    """
    # Another user's, as sudo leaves it, may not be entered.
    if not (_home().is_dir() and os.access(_home(), os.X_OK)):
        os.environ["HOME"] = str(private_folder() / "home")
        _home().mkdir(exist_ok=True)
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    _place("XDG_CACHE_HOME", caches)
    _place("MPLCONFIGDIR", f"{os.environ.get('XDG_CONFIG_HOME') or '~/.config'}/matplotlib")
    # numba raises where it finds no place.
    if "NUMBA_CACHE_DIR" in os.environ or not can_write(_KERNELS):
        _place("NUMBA_CACHE_DIR", f"{caches}/numba")
    _place_prefect()


def _place(name: str, usual: str) -> None:
    if not can_write(Path(os.environ.get(name) or usual).expanduser()):
        os.environ[name] = str(private_folder() / name.lower())


def _place_prefect() -> None:
    # Prefect reads .env too.
    named = os.environ.get("PREFECT_HOME") or settings_of(Path(".env")).get("PREFECT_HOME")
    place = Path(named or "~/.prefect").expanduser()
    if can_write(place):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What is there already, such as blocks and profiles, is not left behind without a word.
    elif (named or place.exists()) and not _asks_for_help():
        raise SettingsError(
            f"Prefect keeps its files in {place}, where this user cannot write: set PREFECT_HOME "
            "to a folder where this user may."
        )
    else:
        os.environ["PREFECT_HOME"] = str(private_folder() / "prefect")


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user whom the system does not know
        return Path("/nonexistent")


def can_write(folder: Path) -> bool:
    """Tell whether files can be written in a folder, or in the one where it would be made."""
    places = (folder.absolute(), *folder.absolute().parents)
    try:
        with tempfile.TemporaryFile(dir=next(place for place in places if place.exists())):
            return True
    except OSError:
        return False


@cache
def private_folder() -> Path:
    """Return this user's own folder for caches, among the temporary ones.

    What numba keeps is run when it is read, so nobody else may write there.
    """
    folder = Path(tempfile.gettempdir(), f"chocoforest-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        known = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="chocoforest-"))
    if folder.is_symlink() or known.st_uid != os.getuid() or known.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="chocoforest-"))
    return folder


def import_prefect() -> None:
    """Import Prefect, which reads its settings then.

    Raises:
        SettingsError: if one of them is malformed, or a file of them cannot be read.
    """
    said = io.StringIO()
    try:
        # What it prints of them says less than the sentence here.
        with redirect_stderr(said):
            from prefect.settings import get_current_settings

            get_current_settings()
        # Not with another stderr: that of now is where the log of all runs goes.
        from prefect.main import flow  # noqa: F401
    except (ValueError, OSError) as error:
        # Prefect reads it too, and --help has passed it over.
        check_env_file(Path(".env"))
        raise SettingsError(
            f"Prefect's own settings cannot be used ({_describe(error)}): correct the variables "
            "PREFECT_... in the environment and in .env, or the file profiles.toml in "
            f"{os.environ.get('PREFECT_HOME', '~/.prefect')} or prefect.toml here."
        ) from None
    sys.stderr.write(said.getvalue())


def _describe(error: Exception) -> str:
    """Say what Prefect refuses, in a line; what a setting holds may be secret."""
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    wrong = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]
    return "; ".join(f"{_variable(error, fault)}: {fault['msg']}" for fault in wrong)


def _variable(error: ValidationError, fault: ErrorDetails) -> str:
    """Name the variable that holds a field of Prefect's, or the field where none is set."""
    field = "_".join(map(str, fault["loc"]))
    end = f"_{field.upper()}"
    set_here = [name for name in os.environ if name.startswith("PREFECT_") and name.endswith(end)]
    return ", ".join(set_here) or f"{error.title} {field}"


def is_command() -> bool:
    """Tell whether this process is one of the commands, not a worker or a test."""
    return Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent


try:
    prepare()
except LandcoverError as told:
    if not is_command():
        raise
    sys.stderr.write(f"Error: {told}\n")
    sys.exit(told.exit_status)
