"""Does a kill at any line leave the old files or the new ones, and a full disk the old ones?"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.config import staged_file as files
from simulator.config import staged_folder as folders
from simulator.config.staged_file import lock, staged_file
from simulator.config.staged_folder import (
    MANIFEST,
    check_folder,
    read_manifest,
    restore,
    verify_folder,
    write_folder,
)
from simulator.errors import ResultError
from simulator.results.result import Result
from simulator.run import main
from tests.kills import every_kill, forked, killed_before
from tests.messages import refused, said
from tests.sample_result import sample_result

OLD = {"main.json": b"old" * 2000, "page.html": b"old page", "gone.csv": b"only old"}
NEW = {"main.json": b"new" * 2000, "page.html": b"new page", "more.csv": b"only new"}
Survived = Callable[..., None]


def content(folder: Path) -> dict[str, bytes]:
    restore(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def write_text(path: Path, text: bytes) -> None:
    with staged_file(path) as file:
        file.write(text[: len(text) // 2])
        file.flush()
        file.write(text[len(text) // 2 :])


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two renames"])
def test_a_killed_command_leaves_one_of_two_folders(
    exchanges: bool, tmp_path: Path, survived: Survived, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchanges:

        def refuse(one: Path, other: Path) -> None:
            raise OSError(errno.EINVAL, "as on NFS")

        monkeypatch.setattr(folders, "exchange", refuse)
    out = tmp_path / "out"
    mine = {"notes.txt": b"mine"}
    restart(out, mine)
    kills = seen = 0
    for _ in every_kill(lambda: write_folder(out, "result", NEW), tmp_path):
        found = content(out)
        assert found in (OLD | mine, NEW | mine)
        assert verify_folder(out)[1] == []
        if found != OLD | mine:
            seen += 1
            restart(out, mine)
        kills += 1
    assert kills > 40
    assert 0 < seen < kills
    assert content(out) == NEW | mine
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    survived(
        f"kill while a folder is written ({'exchange' if exchanges else 'two renames'})", kills
    )


def restart(out: Path, mine: dict[str, bytes]) -> None:
    """The old files, and one of somebody else."""
    write_folder(out, "result", OLD)
    for name, text in mine.items():
        (out / name).write_bytes(text)


def test_a_killed_command_leaves_no_half_of_a_new_folder(
    tmp_path: Path, survived: Survived
) -> None:
    out = tmp_path / "out"
    kills = 0
    for _ in every_kill(lambda: write_folder(out, "result", NEW), tmp_path):
        if out.exists():
            assert content(out) == NEW
            assert kills > 20
            for path in out.iterdir():
                path.unlink()
            out.rmdir()
        kills += 1
    assert content(out) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    survived("kill while a new folder is written", kills)


def test_a_killed_command_leaves_one_of_two_files(tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"old")
    kills = 0
    for _ in every_kill(lambda: write_text(path, b"new text"), tmp_path):
        assert path.read_bytes() in (b"old", b"new text")
        write_text(path, b"old")
        assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
        kills += 1
    assert path.read_bytes() == b"new text"
    assert kills > 10
    survived("kill while a file is written", kills)


def test_a_killed_run_leaves_a_result_with_its_own_page(tmp_path: Path, survived: Survived) -> None:
    """The whole result, at every 7th line: the figures of the page are those of result.json."""
    out = tmp_path / "out"
    old, new = sample_result(range(1)), sample_result(range(2))
    old.save(out, {"page.html": "1 image"})
    kills = 0
    for _ in every_kill(lambda: new.save(out, {"page.html": "2 images"}), tmp_path, step=7):
        images = Result.load(out).images
        assert (out / "page.html").read_text().startswith(f"{images} image")
        rows = (out / "images.csv").read_text().splitlines()
        assert len(rows) == images + 1
        assert verify_folder(out)[1] == []
        old.save(out, {"page.html": "1 image"})
        kills += 1
    assert kills > 10
    survived("kill while a result is written", kills)


def test_everything_reaches_the_disk_before_it_takes_its_place(
    tmp_path: Path, survived: Survived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a loss of power a rename may be there and content that was not synced may not."""
    synced: set[int] = set()
    switches: list[Path] = []

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)

    def checked(switch: Callable[..., None]) -> Callable[..., None]:
        def run(source: Path, target: Path) -> None:
            for path in [Path(source), *Path(source).rglob("*")]:
                assert path.stat().st_ino in synced, path
            switch(source, target)
            synced.discard(Path(target).parent.stat().st_ino)
            switches.append(Path(target).parent)

        return run

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", checked(os.replace))
    monkeypatch.setattr(os, "rename", checked(os.rename))
    monkeypatch.setattr(folders, "exchange", checked(folders.exchange))
    write_folder(tmp_path / "out", "result", OLD)
    assert tmp_path.stat().st_ino in synced
    write_folder(tmp_path / "out", "result", NEW)
    assert tmp_path.stat().st_ino in synced
    write_text(tmp_path / "file", b"text")
    assert tmp_path.stat().st_ino in synced
    assert len(switches) == 3
    survived("power loss between write and rename", len(switches))


@pytest.mark.parametrize("most", [0, 1, 100, 4000, 5999])
def test_a_full_disk_leaves_the_old_files(most: int, tmp_path: Path, survived: Survived) -> None:
    out, file = tmp_path / "out", tmp_path / "file"
    write_folder(out, "result", OLD)
    write_text(file, b"old")

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        for work in (
            lambda: write_folder(out, "result", NEW),
            lambda: write_text(file, b"new" * 5000),
        ):
            with refused(OSError, errno.EFBIG):
                work()

    assert not killed_before(10**9, fill)
    assert content(out) == OLD
    assert file.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]
    survived("full disk", 2)


def test_two_writers_leave_one_of_both(tmp_path: Path, survived: Survived) -> None:
    out = tmp_path / "out"
    rounds = 20

    def write(contents: dict[str, bytes]) -> None:
        for _ in range(rounds):
            write_folder(out, "result", contents)
            write_text(tmp_path / "file", contents["page.html"])

    children = [forked(lambda: write(OLD)), forked(lambda: write(NEW))]
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    assert content(out) in (OLD, NEW)
    assert verify_folder(out)[1] == []
    assert (tmp_path / "file").read_bytes() in (OLD["page.html"], NEW["page.html"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]
    survived("writers at the same time", 2 * rounds * 2)


@pytest.mark.parametrize("look", [lambda out: check_folder(out, "result"), verify_folder])
def test_no_writer_switches_a_folder_that_is_looked_at(
    look: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the names of the old folder would be compared with the manifest of the new one."""
    out, seen = tmp_path / "out", []
    write_folder(out, "result", OLD)

    def free(folder: Path) -> dict[str, object] | None:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        seen.append(lock(descriptor))
        os.close(descriptor)
        return read_manifest(folder)

    monkeypatch.setattr(folders, "read_manifest", free)
    look(out)
    assert seen == [False]


@pytest.mark.parametrize("kind", ["folder of a user", "another command", "file", "subfolder"])
def test_nothing_foreign_is_replaced(kind: str, tmp_path: Path, survived: Survived) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "folder of a user":
        out.mkdir()
        (out / "main.json").write_text("mine")
    else:
        write_folder(out, "result" if kind == "subfolder" else "compat report", OLD)
        if kind == "subfolder":
            (out / "below").mkdir()
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(OSError, match=said("a folder of another's")):
        write_folder(out, "result", NEW)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    survived("something foreign in the way")


def test_a_file_that_no_command_wrote_is_not_replaced_by_one_of_its_name(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "result", OLD)
    (tmp_path / "out" / "more.csv").write_text("mine")
    with pytest.raises(OSError, match=said("a file that no result wrote")):
        write_folder(tmp_path / "out", "result", NEW)
    assert content(tmp_path / "out") == OLD | {"more.csv": b"mine"}


@pytest.mark.parametrize("what", ["device", "pipe", "folder", "foreign"])
def test_only_regular_files_of_ours_are_replaced(
    what: str, tmp_path: Path, survived: Survived
) -> None:
    path = tmp_path / "page"
    number = errno.EINVAL
    if what == "device":
        path.symlink_to("/dev/null")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
        number = errno.EISDIR
    else:
        path.write_text("my own notes")
        number = errno.EEXIST
    with refused(OSError, number), staged_file(path, b"a mark"):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["page"]
    survived("something foreign in the way")


def test_a_link_is_followed_and_said(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "page").symlink_to(tmp_path / "disk" / "page")
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    for text in (b"one", b"two"):
        write_text(tmp_path / "page", text)
        write_folder(tmp_path / "out", "result", {"a": text})
        assert (tmp_path / "disk" / "page").read_bytes() == text
        assert (tmp_path / "disk" / "out" / "a").read_bytes() == text
    assert (tmp_path / "page").is_symlink()
    assert (tmp_path / "out").is_symlink()
    assert files.named(tmp_path / "page") == f"{tmp_path / 'page'} -> {tmp_path / 'disk' / 'page'}"


def test_permissions_stay(tmp_path: Path) -> None:
    write_text(tmp_path / "page", b"one")
    write_folder(tmp_path / "out", "result", OLD)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o777 & ~mask
    (tmp_path / "page").chmod(0o600)
    (tmp_path / "out").chmod(0o700)
    write_text(tmp_path / "page", b"two")
    write_folder(tmp_path / "out", "result", NEW)
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_names_of_any_length_can_be_written(tmp_path: Path) -> None:
    for name in ("ü" * 127, "a" * 255):
        write_folder(tmp_path / name, "result", OLD)
        write_folder(tmp_path / name, "result", NEW)
        assert content(tmp_path / name) == NEW
    with refused(OSError, errno.ENAMETOOLONG):
        write_folder(tmp_path / ("a" * 256), "result", OLD)


def test_verifying_says_what_is_not_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    out = tmp_path / "out"
    write_folder(out, "result", OLD)
    with pytest.raises(SystemExit) as ended:
        main(["--verify", str(out)])
    assert ended.value.code in (0, None)
    page, gone = out / "page.html", out / "gone.csv"
    page.write_text("edited")
    gone.unlink()
    assert main(["--verify", str(out)]) == 2
    printed = capsys.readouterr()
    assert f"{out}: {said('a result that is verified')}\n" in printed.out + printed.err
    assert f"{page}: {said('a file that changed')}\n" in printed.err
    assert f"{gone}: {said('a file that is gone')}\n" in printed.err
    assert main(["--verify", str(tmp_path)]) == 2
    assert said("a file without a manifest") in capsys.readouterr().err
    for damage in ('{"schema": "stasim-folder/1", "kind": "x", "files": {"../x": {}}}', "[" * 9999):
        (out / MANIFEST).write_text(damage)
        assert main(["--verify", str(out)]) == 2


def test_results_from_before_there_were_manifests_are_replaced(tmp_path: Path) -> None:
    sample_result(range(2)).save(tmp_path / "out", {"page.html": "x"})
    (tmp_path / "out" / MANIFEST).unlink()
    sample_result(range(1)).save(tmp_path / "out", {"page.html": "y"})
    assert Result.load(tmp_path / "out").images == 1
    assert (tmp_path / "out" / "page.html").read_text() == "y"
    assert verify_folder(tmp_path / "out")[1] == []
    (tmp_path / "out" / "x").mkdir()
    with pytest.raises(ResultError, match=said("a folder in a result's")):
        sample_result(range(1)).save(tmp_path / "out")
