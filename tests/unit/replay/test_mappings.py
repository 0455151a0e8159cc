"""Mappings: virtual pages and guest pages, in both directions."""

from discotrace.replay.mappings import PAGE_TABLE_KEY, Mapping, Mappings, is_user_key, kernel_key, owner_of


def mapped(*pages: tuple[int, int, int, int]) -> Mappings:
    """Pages as (key, vpn, VM, guest page)."""
    one = Mappings()
    for key, vpn, vm, gfn in pages:
        one.add(key, vpn, Mapping(vm, gfn, None))
    return one


def test_keys__of_processes_kernels_and_page_tables_differ() -> None:
    kernels = [kernel_key(vm) for vm in range(64)]
    keys = [1, (1 << 32) - 1, *kernels, *(key + PAGE_TABLE_KEY for key in (1, (1 << 32) - 1, *kernels))]
    assert len(set(keys)) == len(keys)
    assert [is_user_key(key) for key in keys] == [True, True] + [False] * (len(keys) - 2)
    assert kernel_key(0) == 0


def test_keys__in_words() -> None:
    assert owner_of(7) == "process 7"
    assert owner_of(kernel_key(3)) == "kernel of VM 3"
    assert owner_of(7 + PAGE_TABLE_KEY) == "page table of process 7"
    assert owner_of(kernel_key(3) + PAGE_TABLE_KEY) == "page table of kernel of VM 3"


def test_get__what_was_added() -> None:
    assert mapped((1, 5, 0, 9)).get(1, 5) == Mapping(0, 9, None)


def test_pages_of__every_virtual_page_of_a_guest_page_ascending() -> None:
    one = mapped((2, 3, 0, 9), (1, 5, 0, 9), (1, 4, 0, 9), (1, 6, 0, 8), (3, 1, 1, 9))
    assert one.pages_of(0, 9) == [(1, 4), (1, 5), (2, 3)]
    assert one.pages_of(1, 9) == [(3, 1)]


def test_pages_of__none_of_a_page_that_nobody_maps() -> None:
    assert mapped().pages_of(0, 9) == []


def test_remove__gives_the_mapping_and_leaves_the_others() -> None:
    one = mapped((1, 5, 0, 9), (2, 5, 0, 9))
    assert one.remove(1, 5) == Mapping(0, 9, None)
    assert one.pages_of(0, 9) == [(2, 5)]
    one.remove(2, 5)
    assert one.pages_of(0, 9) == []
    assert one.all() == {}


def test_has__the_page_of_that_key_alone() -> None:
    one = mapped((1, 5, 0, 9))
    assert [one.has(1, 5), one.has(1, 6), one.has(2, 5)] == [True, False, False]
    assert one.all().keys() == {(1, 5)}


def test_of_key__ascending_and_of_that_key_alone() -> None:
    one = mapped((1, 9, 0, 1), (1, 2, 0, 2), (1 + PAGE_TABLE_KEY, 0, 0, 3))
    assert one.of_key(1) == [2, 9]
    assert one.of_key(77) == []


def test_keys_of__those_with_pages_of_the_vm() -> None:
    one = mapped((2, 1, 0, 1), (1, 1, 0, 2), (3, 1, 1, 1), (kernel_key(1), 4, 1, 7))
    assert one.keys_of(0) == [1, 2]
    assert one.keys_of(1) == [3, kernel_key(1)]
