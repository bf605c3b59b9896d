"""Compiles the kernel while a wheel or an editable install is made; hatchling calls it.

Without a C compiler, or when compiling fails, the install still succeeds: it is then pure Python,
draws run in NumPy, and `pondera.kernel_info()` says so. The library is called through ctypes, so one wheel
serves every Python of its platform: py3-none-<platform>.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden"),
    "-ffp-contract=off",  # a fused multiply-add rounds once where the meaning rounds twice
    "-fno-math-errno",  # a square root is then one instruction
    "-Wno-psabi",  # no vector crosses a border between object files
)
LEVELS = {
    "plain": (),
    "avx2": ("-mavx2", "-mfma", "-mf16c"),
    "avx512": (
        *("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"),
        "-mprefer-vector-width=512",
    ),
}
SUFFIXES = {"win32": ".dll", "darwin": ".dylib"}


class KernelBuildHook(BuildHookInterface[Any]):
    """Puts the compiled library beside the package and into the wheel, under the right tag."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version  # an editable install finds the library in the source tree
        target = Path(self.root, "src", "pondera", "kernel", library_name())
        target.unlink(missing_ok=True)  # never an older one beside newer Python
        try:
            build(Path(self.root, "src", "pondera"), target)
        except (OSError, subprocess.SubprocessError) as fault:
            self.app.display_warning(f"pondera: no compiled kernel, draws run in NumPy ({fault})")
            return
        build_data["artifacts"].append(target.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"


def library_name() -> str:
    """Name of the library on this platform; `pondera.kernel.library` looks for the same."""
    return "_pondera_kernel" + SUFFIXES.get(sys.platform, ".so")


def platform_tag() -> str:
    """The platform part of the wheel's tag."""
    tag = sysconfig.get_platform().replace("universal2", platform.machine())
    return tag.replace("-", "_").replace(".", "_")


def build(package: Path, target: Path) -> None:
    """Compile every source of `kernel/csrc` and link them into `target`."""
    command, csrc = compiler(), package / "kernel" / "csrc"
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch, "table.c")
        table.write_text(quantile_source(package / "core" / "quantile.npy"), encoding="ascii")
        with ThreadPoolExecutor() as pool:
            compiled = partial(compile_one, command, csrc, Path(scratch))
            objects = list(pool.map(compiled, [table, *sources(csrc)]))
        made = Path(scratch, target.name)
        needs = [] if sys.platform == "win32" else ["-lm"]
        run([*command, "-shared", "-o", str(made), *objects, *needs])
        shutil.copyfile(made, beside := target.with_suffix(".partial"))
        os.replace(beside, target)  # a running process keeps the file that it has mapped


def compiler() -> list[str]:
    """The C compiler's command: $CC if set, else the first of cc, gcc and clang that is there."""
    wanted = shlex.split(os.environ.get("CC", "")) or None
    for command in [wanted] if wanted else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    raise FileNotFoundError(f"no C compiler: {' '.join(wanted or ['cc, gcc, clang'])} not found")


def sources(csrc: Path) -> list[Path]:
    """The C files for this machine; AVX is for x86-64 alone."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return [path for path in sorted(csrc.glob("*.c")) if x86 or "avx" not in path.stem]


def compile_one(command: list[str], csrc: Path, scratch: Path, source: Path) -> str:
    """The object file of one source, with the flags of the level in its name."""
    target = scratch / f"{source.stem}.o"
    level = LEVELS.get(source.stem.rpartition("_")[2], ())
    run([*command, *FLAGS, *level, f"-I{csrc}", "-c", str(source), "-o", str(target)])
    return str(target)


def run(command: list[str]) -> None:
    """Run a command; its first complaint is the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        complaint = lines[0].strip() if lines else f"exit status {done.returncode}"
        raise subprocess.SubprocessError(f"{command[0]}: {complaint}")


def quantile_source(path: Path) -> str:
    """The normal quantile's frozen table as C: the same 64-bit words that core/draw.py unpacks.

    Read without NumPy, which a build does not need otherwise.
    """
    raw = path.read_bytes()
    start = 10 + int.from_bytes(raw[8:10], "little")  # magic, version, length of the header
    if raw[:6] != b"\x93NUMPY" or b"'<u8'" not in raw[10:start]:
        raise OSError(f"{path.name} is no table of little-endian uint64")
    words = struct.unpack(f"<{(len(raw) - start) // 8}Q", raw[start:])
    lines = ",\n".join(f"    0x{word:016X}u" for word in words)
    return f'#include "pondera.h"\n\nconst uint64_t pondera_quantile[] = {{\n{lines},\n}};\n'
