"""Results as JUnit XML, which CI systems read: a test suite for each document, a test case for each expectation."""

from collections.abc import Iterable
from xml.etree import ElementTree as Xml

from kubinet.reach.testing import Outcome, Result


def junit(name: str, results: Iterable[Result], seconds: float) -> str:
    """The file's text. `seconds`: how long all of it took."""
    every = list(results)
    counts = {
        "tests": str(len(every)),
        "failures": str(sum(one.outcome is Outcome.FAILED for one in every)),
        "errors": str(sum(one.outcome is Outcome.ERROR for one in every)),
        "skipped": "0",
        "time": f"{seconds:.3f}",
    }
    root = Xml.Element("testsuites", counts)
    suite = Xml.SubElement(root, "testsuite", {"name": name, **counts})
    for one in every:
        case = Xml.SubElement(suite, "testcase", {"classname": name, "name": one.expectation.name})
        if one.outcome is Outcome.ERROR:
            Xml.SubElement(case, "error", {"message": one.trouble})
        elif one.outcome is Outcome.FAILED:
            words = [f"{failure.check.words}: {failure.why}" for failure in one.failures]
            message = f"{len(one.failures)} of {one.checks} are not as expected"
            Xml.SubElement(case, "failure", {"message": message}).text = "\n".join(words)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
