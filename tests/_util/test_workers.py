import threading

from plaudit._util.workers import Workers


def test_workers_do_so_much_at_a_time_and_drop_what_was_cancelled() -> None:
    release = threading.Event()
    workers = Workers(2, "test-workers")
    first = [workers.submit(lambda: release.wait(30)) for _ in range(2)]
    late = workers.submit(lambda: 3)
    dropped = workers.submit(lambda: 4)
    assert not late.done()
    assert dropped.cancel()
    release.set()
    assert (late.result(10), [call.result(10) for call in first]) == (3, [True, True])
    workers.stop()
