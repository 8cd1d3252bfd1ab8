"""Which fault hits which call, and how often."""

from nightlatch.faces.faults import Fault, FaultKind, Faults

ONE, OTHER = "100000000000001", "100000000000002"


def test_nothing_goes_wrong_by_itself():
    assert Faults().take(ONE, "register") is None


def test_a_fault_happens_as_often_as_it_was_added_for():
    faults = Faults()
    faults.add(Fault(FaultKind.UNAVAILABLE, times=2))

    hit = [faults.take(ONE, "register") is not None for _ in range(3)]

    assert hit == [True, True, False]
    assert faults.listed() == ()


def test_a_fault_without_number_and_edge_hits_any_call():
    faults = Faults()
    faults.add(Fault(FaultKind.LOST, times=3))

    assert (
        faults.take(ONE, "register") is faults.take(OTHER, "") is faults.take(OTHER, "deregister")
    )


def test_a_fault_of_one_number_leaves_others_alone():
    faults = Faults()
    faults.add(Fault(FaultKind.LOCKED, number=ONE))

    assert faults.take(OTHER, "register") is None
    assert faults.take(ONE, "register") is not None


def test_a_fault_of_the_number_itself_is_none_of_its_edges():
    faults = Faults()
    faults.add(Fault(FaultKind.LOCKED, edge=""))

    assert faults.take(ONE, "register") is None
    assert faults.take(ONE, "") is not None


def test_of_several_the_first_that_fits_happens_first():
    faults = Faults()
    first, second = Fault(FaultKind.SLOW, edge="register", seconds=1), Fault(FaultKind.LOST)
    faults.add(first)
    faults.add(second)

    assert faults.take(ONE, "deregister") is second
    assert faults.take(ONE, "register") is first


def test_cleared_faults_do_not_happen():
    faults = Faults()
    faults.add(Fault(FaultKind.SLOW, seconds=1))

    faults.clear()

    assert faults.take(ONE, "") is None
