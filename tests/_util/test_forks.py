"""A fork waits for what other threads load, and for nothing else."""

from tests.support.scripts import run_script


def test_a_fork_waits_until_another_thread_has_loaded() -> None:
    done = run_script("""
        import os, threading, time
        from plaudit._util.forks import finished_before_a_fork
        begun, loaded = threading.Event(), []
        def load():
            with finished_before_a_fork():
                begun.set()
                time.sleep(0.2)
                loaded.append(1)
        threading.Thread(target=load).start()
        begun.wait()
        child = os.fork()
        if child == 0:
            os._exit(0 if loaded else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """)
    assert (done.stdout.split(), done.stderr) == (["0"], "")


def test_a_thread_that_loads_may_fork_and_its_child_may_load_and_fork() -> None:
    done = run_script("""
        import os
        from plaudit._util.forks import finished_before_a_fork
        def in_child(work):
            child = os.fork()
            if child == 0:
                work()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        def again():
            with finished_before_a_fork():
                in_child(lambda: None)
        with finished_before_a_fork():
            in_child(again)
        in_child(again)
        print("done")
        """)
    assert (done.stdout.split(), done.stderr) == (["done"], "")


def test_hooks_are_called_while_nothing_is_loaded() -> None:
    done = run_script("""
        import os, threading, time
        from plaudit._util.forks import around_forks, finished_before_a_fork
        begun, said = threading.Event(), []
        around_forks(
            lambda: said.append("before"),
            lambda: said.append("parent"),
            lambda: said.append("child"),
        )
        def load():
            with finished_before_a_fork():
                begun.set()
                time.sleep(0.2)
                said.append("loaded")
        threading.Thread(target=load).start()
        begun.wait()
        child = os.fork()
        os.write(1, f"{said}\\n".encode())  # Whole, since both write.
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        """)
    lines = ["['loaded', 'before', 'child']", "['loaded', 'before', 'parent']"]
    assert (sorted(done.stdout.splitlines()), done.stderr) == (lines, "")
