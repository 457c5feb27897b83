"""Image references, the image table, Kubernetes' command and args."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kubinet
from kubinet.errors import InvalidInputError
from kubinet.images import (
    ImageReference,
    InvalidImageNameError,
    MissingProgramError,
    UnknownImageError,
    expand,
    expand_env,
    load_table,
    parse_reference,
)

NO_USER_TABLE = Path("/nonexistent")
DIGEST = "sha256:" + "0" * 64


def everything(name: str) -> str | None:
    return f"/usr/bin/{name}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", ImageReference("docker.io", "library/busybox", "latest", None)),
        ("a/b:1.2", ImageReference("docker.io", "a/b", "1.2", None)),
        ("index.docker.io/a/b", ImageReference("docker.io", "a/b", "latest", None)),
        ("localhost/a", ImageReference("localhost", "a", "latest", None)),
        ("h:5000/a/b", ImageReference("h:5000", "a/b", "latest", None)),
        ("[::1]:5000/a:t", ImageReference("[::1]:5000", "a", "t", None)),
        (f"quay.io/a/b@{DIGEST}", ImageReference("quay.io", "a/b", None, DIGEST)),
        (f"quay.io/a/b:v1@{DIGEST}", ImageReference("quay.io", "a/b", "v1", DIGEST)),
    ],
)
def test_reference(text: str, expected: ImageReference) -> None:
    """A reference's missing parts are those that container engines fill in."""
    assert parse_reference(text) == expected


@pytest.mark.parametrize("text", ["", "A", "a//b", "a:", "a@sha256:12", "-a", "a b", "/a", "a/", "a:b:c", "x" * 2000])
def test_invalid_reference(text: str) -> None:
    """What no engine accepts is refused with the form that is expected."""
    with pytest.raises(InvalidImageNameError, match="the form is"):
        parse_reference(text)


_name = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)?", fullmatch=True)


@given(
    st.sampled_from(["docker.io", "registry.k8s.io", "localhost:5000"]),
    st.lists(_name, min_size=2, max_size=4),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.sampled_from([None, DIGEST]),
)
def test_reference_survives_its_text(registry: str, parts: list[str], tag: str, digest: str | None) -> None:
    """Parsing a reference's text gives the reference again."""
    reference = ImageReference(registry, "/".join(parts), tag, digest)
    assert parse_reference(str(reference)) == reference


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text makes the parser fail in another way."""
    try:
        parse_reference(text)
    except InvalidImageNameError:
        return


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ((), (), ("/agnhost", "pause")),
        ((), ("netexec",), ("/agnhost", "netexec")),
        (("sh",), (), ("sh",)),
        (("sh",), ("-c", "true"), ("sh", "-c", "true")),
    ],
)
def test_command_and_args(command: tuple[str, ...], args: tuple[str, ...], argv: tuple[str, ...]) -> None:
    """A pod's command replaces entrypoint and cmd, its args replace cmd."""
    table = load_table(user_table=NO_USER_TABLE)
    image = table.resolve("registry.k8s.io/e2e-test-images/agnhost:2.43", command, args, which=everything)
    assert image.argv == argv


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("$(A", "$(A"), ("$$$(A)", "$1")],
)
def test_expansion(text: str, expected: str) -> None:
    """`$(NAME)` is replaced, an unknown name and `$$(NAME)` are not."""
    assert expand(text, {"A": "1"}) == expected


def test_environment_refers_backwards() -> None:
    """A variable's value may name variables before it only."""
    assert expand_env({"A": "1", "B": "$(A)2", "C": "$(D)", "D": "4"}) == {"A": "1", "B": "12", "C": "$(D)", "D": "4"}


def test_unknown_image_says_how_to_add_it() -> None:
    """An image that is not in the table is an error that names the table and the entry."""
    with pytest.raises(UnknownImageError, match=r"'mysql:8' is not in the image table.*'docker.io/library/mysql'"):
        load_table(user_table=NO_USER_TABLE).find("mysql:8")


def test_unknown_tag() -> None:
    """agnhost 1.x is not what our agnhost is like."""
    with pytest.raises(UnknownImageError, match=r"only tags 2\.\*"):
        load_table(user_table=NO_USER_TABLE).find("registry.k8s.io/e2e-test-images/agnhost:1.0")


def test_missing_program_names_the_package() -> None:
    """An image whose program is not installed names the Debian package."""
    with pytest.raises(MissingProgramError, match=r"program 'iperf3' is not installed.*apt install iperf3"):
        load_table(user_table=NO_USER_TABLE).resolve("networkstatic/iperf3", which=lambda _: None)


def test_modules_are_those_of_our_own_environment(tmp_path: Path) -> None:
    """A Python package that an image asks for is shown in /run/python; one that is not there is named."""
    table = tmp_path / "images.yaml"
    table.write_text("me/good: {cmd: [x], modules: [kubinet]}\nme/bad: {cmd: [x], modules: [no.such]}\n")
    images = load_table([table], user_table=NO_USER_TABLE)
    package = Path(kubinet.__file__).parent
    assert images.resolve("me/good", which=everything).programs == {"/run/python/kubinet": package}
    with pytest.raises(MissingProgramError, match=r"image 'me/bad': Python package 'no\.such' is not in Kubinet's"):
        images.resolve("me/bad", which=everything)


def test_fallback_is_told() -> None:
    """Where nginx is missing, busybox httpd serves, and the note says so."""
    image = load_table(user_table=NO_USER_TABLE).resolve(
        "nginx", which=lambda name: None if name == "nginx" else everything(name)
    )
    assert image.argv[:2] == ("sh", "-c")
    assert image.note == (
        "image 'nginx': program 'nginx' is not installed on this machine (apt install nginx-light); running instead: "
        "busybox httpd on port 80 with the pages of /usr/share/nginx/html; nginx's own configuration has no effect"
    )


def test_user_table_replaces_adds_and_removes(tmp_path: Path) -> None:
    """A user's entry replaces the shipped one as a whole; null takes it out; programs are relative to the file."""
    table = tmp_path / "images.yaml"
    table.write_text("busybox: {cmd: [mine]}\nalpine: null\nme/app: {entrypoint: [/app], programs: {/app: ./app}}\n")
    (tmp_path / "app").touch()
    images = load_table(user_table=table)
    assert images.resolve("busybox").argv == ("mine",)
    assert images.resolve("me/app:1").programs == {"/app": tmp_path / "app"}
    with pytest.raises(UnknownImageError):
        images.find("alpine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {cmd: [x], colour: red}", r"images\.yaml:1: a\.colour is unknown"),
        ("a: {cmd: x}", r":1: a\.cmd must be a list of strings"),
        ("a:\n  cmd: [x]\n  ports: [true]", r":3: a\.ports must be a list of port numbers"),
        ("a: {}", r":1: a needs entrypoint or cmd"),
        ("a: 1", r":1: a must be a mapping"),
        ("- a", "is a mapping from repositories"),
        ("a: [", "not valid YAML"),
        ("a: {cmd: [x], programs: {app: x}}", r"'app', which is no absolute path"),
        ("A: {cmd: [x]}", "is no valid reference"),
    ],
)
def test_table_errors(tmp_path: Path, text: str, message: str) -> None:
    """A wrong table is refused with file, line and field."""
    table = tmp_path / "images.yaml"
    table.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load_table(user_table=table)
