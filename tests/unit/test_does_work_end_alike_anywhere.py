"""Does work give the same on one process, on all cores and on a cluster, even if workers die?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.distributed.executor import open_executor
from simulator.errors import ExecutionError, TraceError
from simulator.run import main
from tests.cluster import Cluster, cluster
from tests.errands import die_always, die_once, refuse_three, square
from tests.factories import tiny_trace
from tests.messages import cases, refused, said

ARCH = str(Path(__file__).parents[2] / "arch_configs" / "sparse_pe.yaml")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(params=["one process", "two processes", "a cluster"])
def place(request: pytest.FixtureRequest) -> dict[str, object]:
    if request.param == "a cluster":
        return {"dask": request.getfixturevalue("running").address}
    return {"jobs": 2 if request.param == "two processes" else 1}


def test_every_task_is_answered_once(place: dict[str, object]) -> None:
    with open_executor(**place) as executor:  # type: ignore[arg-type]
        assert sorted(executor.run(square, range(7))) == [(n, n * n) for n in range(7)]
        assert list(executor.run(square, [])) == []


def test_what_a_worker_refuses_is_raised_here(place: dict[str, object]) -> None:
    with (
        open_executor(**place) as executor,  # type: ignore[arg-type]
        refused(TraceError, "task 3"),
    ):
        list(executor.run(refuse_three, range(6)))


def test_a_process_that_dies_loses_nothing(tmp_path: Path) -> None:
    tasks = [(number, str(tmp_path)) for number in range(9)]
    with open_executor(jobs=2) as executor:
        assert sorted(executor.run(die_once, tasks)) == [(n, n) for n in range(9)]
    assert (tmp_path / "died-3").exists()


def test_a_worker_of_a_cluster_that_dies_loses_nothing(tmp_path: Path) -> None:
    tasks = [(number, str(tmp_path)) for number in range(9)]
    with cluster(tmp_path) as own, open_executor(dask=own.address) as executor:
        assert executor.workers == 2
        assert sorted(executor.run(die_once, tasks)) == [(n, n) for n in range(9)]
        assert sum(worker.poll() is not None for worker in own.workers) == 1


@pytest.mark.parametrize("after", [1, 30])
def test_a_scheduler_that_is_lost_is_one_error(after: int, tmp_path: Path) -> None:
    tasks = [(number, str(tmp_path)) for number in range(4, 500)]
    with cluster(tmp_path) as own, open_executor(dask=own.address) as executor:
        answers = executor.run(die_once, tasks)
        for _ in range(after):
            next(answers)
        own.scheduler.kill()
        with pytest.raises(ExecutionError, match=said("the scheduler died")):
            list(answers)


def test_a_task_that_kills_every_worker_is_one_error() -> None:
    with (
        open_executor(jobs=2) as executor,
        pytest.raises(ExecutionError, match=said("every worker dies")),
    ):
        list(executor.run(die_always, range(6)))


@cases("a_cluster_that_is_not_there_is_one_message")
def test_a_cluster_that_is_not_there_is_one_message(
    address: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulator.distributed.executor.CONNECT_SECONDS", 1)
    trace = str(tiny_trace(tmp_path / "tiny.npz", images=1))
    assert main(["--arch", ARCH, "--trace", trace, "--dask", address]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err


def test_only_who_has_the_certificates_enters_a_local_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import dask

    monkeypatch.setattr("simulator.distributed.executor.CONNECT_SECONDS", 1)
    with open_executor(dask="local:1") as executor:
        address = executor.client.scheduler.address
        for known in (address, address.replace("tls:", "tcp:")):
            with pytest.raises(ExecutionError), open_executor(dask=known):
                pass
        security = executor.client.security
        names = {"ca-file": "ca_file", "client.cert": "client_cert", "client.key": "client_key"}
        ours = {
            f"distributed.comm.tls.{name}": getattr(security, f"tls_{field}")
            for name, field in names.items()
        }
        monkeypatch.setattr("simulator.distributed.executor.CONNECT_SECONDS", 20)
        with dask.config.set(ours), open_executor(dask=address) as again:
            assert sorted(again.run(square, range(3))) == [(0, 0), (1, 1), (2, 4)]


@pytest.mark.parametrize("late", [1, 4])
def test_a_thread_that_begins_late_is_begun_again(
    late: int, running: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    class Late(distributed.Client):
        """What Dask does on a machine too busy to begin its thread within 10 s."""

        begun = 0

        def __init__(self, *words: object, **more: object) -> None:
            Late.begun += 1
            assert Late.begun > late
            super().__init__(*words, **more)

    monkeypatch.setattr(distributed, "Client", Late)
    if late == 4:
        with (
            pytest.raises(ExecutionError, match=said("a thread that does not begin")),
            open_executor(dask=running.address),
        ):
            pass
        return
    with open_executor(dask=running.address) as executor:
        assert sorted(executor.run(square, range(3))) == [(0, 0), (1, 1), (2, 4)]


def test_a_replay_is_the_same_on_a_cluster(
    running: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--arch", ARCH, "--trace", str(tiny_trace(tmp_path / "tiny.npz", images=5)), "--json"]
    texts = []
    for place in ([], ["--jobs", "2"], ["--dask", running.address]):
        assert main([*words, *place]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] == texts[2]
