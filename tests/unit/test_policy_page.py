"""docs/policy.md: its example is what the compiler makes of the policies that stand on the page."""

from controller import policy_docs


def test_the_example_is_generated_from_the_pages_own_policies() -> None:
    """docs/policy.md is what `python -m controller.policy_docs` writes."""
    text = policy_docs.PAGE.read_text()
    assert policy_docs.page(text) == text
    assert "NetworkPolicy/shop/web" in text


def test_the_page_says_right_which_node_has_the_policies() -> None:
    """n1 has the selected pods, n2 none."""
    assert len(policy_docs.example_flows("n1")) == 12
    assert policy_docs.example_flows("n2") == []
