"""Lines of valgrind's system-call trace into calls."""

from discotrace.tracegen.syscalls import Call, parse_calls


def one(*lines: str) -> Call:
    (call,) = parse_calls(f"7\t{line}\n" for line in lines)
    return call


def test_a_call_in_one_line() -> None:
    call = one("SYSCALL[9,1](9) sys_mmap ( 0x0, 8192, 3, 34, 4294967295, 0 ) --> [pre-success] Success(0x4835000)")
    assert (call.row, call.name, call.value) == (7, "mmap", 0x4835000)
    assert call.arguments == (0, 8192, 3, 34, 4294967295, 0)
    assert call.descriptor(4) == -1


def test_a_result_on_a_later_line_belongs_to_the_call_of_its_thread() -> None:
    calls = parse_calls(
        [
            "1\tSYSCALL[9,1](0) sys_read ( 5, 0x1f, 832 ) --> [async] ... ",
            "2\tSYSCALL[9,2](1) sys_write ( 1, 0x2f, 5 ) --> [async] ... ",
            "3\tSYSCALL[9,1](0) ... [async] --> Success(0x340) ",
            "4\tSYSCALL[9,2](1) ... [async] --> Failure(0x20) ",
        ]
    )
    assert [(call.row, call.name, call.result, call.failed) for call in calls] == [
        (1, "read", 0x340, False),
        (2, "write", 0x20, True),
    ]


def test_a_failed_call_has_no_value() -> None:
    call = one("SYSCALL[9,1](21) sys_access ( 0x402a2a0(/etc/ld.so.preload), 4 )[sync] --> Failure(0x2) ")
    assert (call.failed, call.succeeded, call.value) == (True, False, 0)
    assert call.paths == ("/etc/ld.so.preload",)


def test_a_path_may_hold_commas_and_parentheses() -> None:
    call = one("SYSCALL[9,1](257) sys_openat ( 4294967196, 0x40(/a, (b)/c d), 524288 ) --> [async] ... ")
    assert call.paths == ("/a, (b)/c d",)
    assert call.arguments == (4294967196, 0x40, 524288)
    assert call.descriptor(0) == -100
    assert call.result is None


def test_a_path_may_be_the_only_argument() -> None:
    call = one("SYSCALL[9,1](80) sys_chdir ( 0x4035b58(/) )[sync] --> Success(0x0) ")
    assert (call.paths, call.succeeded) == (("/",), True)


def test_an_empty_path_is_a_path() -> None:
    assert one("SYSCALL[9,1](262) sys_newfstatat ( 5, 0x40(), 0x1f )[sync] --> Success(0x0) ").paths == ("",)


def test_fork_and_its_result_on_the_next_line() -> None:
    call = one("SYSCALL[9,1](58) sys_fork ( )   fork: process 9 created child 10", " --> [pre-success] Success(0xa) ")
    assert (call.name, call.child, call.value, call.arguments) == ("fork", 10, 10, ())


def test_clone_prints_flags_without_0x() -> None:
    line = "SYSCALL[9,1](56) sys_clone ( 1200011, 0x0, 0x0, 0x4a27a10, 0x0 )   clone(fork): process 9 created child 12"
    assert one(line).child == 12
    assert (
        one("SYSCALL[9,1](56) sys_clone ( 3d0f00, 0x5, 0x6 ) --> [pre-success] Success(0x11) ").arguments[0] == 0x3D0F00
    )


def test_an_interrupted_call_has_no_result() -> None:
    calls = parse_calls(
        [
            "1\tSYSCALL[9,1](61) sys_wait4 ( 4294967295, 0x1f, 0, 0x0 ) --> [async] ... ",
            "2\tSYSCALL[9,1](15) sys_rt_sigreturn ( ) --> [pre-success] NoWriteResult ",
            "3\tSYSCALL[9,1](61) sys_wait4 ( 4294967295, 0x1f, 1, 0x0 ) --> [async] ... ",
            "4\tSYSCALL[9,1](61) ... [async] --> Failure(0xa) ",
        ]
    )
    assert [(call.name, call.result) for call in calls] == [("wait4", None), ("rt_sigreturn", None), ("wait4", 10)]


def test_exit_and_calls_that_valgrind_does_not_know() -> None:
    assert one("SYSCALL[9,1](231) exit_group( 0 ) --> [pre-success] Success(0x0) ").name == "exit_group"
    call = one(
        "SYSCALL[9,1](334) unimplemented (by the kernel) syscall: 334! (ni_syscall)", " --> [pre-fail] Failure(0x26) "
    )
    assert (call.name, call.failed) == ("unimplemented", True)


def test_fcntl_is_printed_in_its_own_way() -> None:
    call = one("SYSCALL[9,1](72) sys_fcntl[ARG3=='arg'] ( 3, 0, 10 )[sync] --> Success(0xc) ")
    assert (call.name, call.arguments, call.value) == ("fcntl", (3, 0, 10), 12)


def test_other_lines_are_skipped() -> None:
    assert parse_calls(["0\t --> [pre-success] Success(0x0) ", "0\tnoise"]) == []
