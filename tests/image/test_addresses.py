"""Pictures behind addresses, from a server on this machine."""

import json
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Barrier, Thread
from time import monotonic, sleep
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from cnntool.errors import InputError
from cnntool.image import addresses
from cnntool.image.addresses import Address, is_address
from cnntool.image.files import Listed

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.parametrize(
    ("url", "shown", "place"),
    [
        ("https://h/a/b.png", "https://h/a/b.png", "a/b.png"),
        ("HTTP://me:secret@h:80/a%20b.png?token=secret#x", "http://h:80/a%20b.png", "a b.png"),
        ("s3://bucket/../../etc/./x.png", "s3://bucket/../../etc/./x.png", "etc/x.png"),
        ("http://bucket/%2e%2e/%2fetc%5c..%5cx.png", None, "etc/x.png"),
        ("gs://bucket/a?b#c%20d::@.png", None, "a?b#c%20d::@.png"),
        ("S3://me:secret@bucket/..\\a//b?.png", "s3://bucket/..\\a//b?.png", "a/b?.png"),
        ("https://h", "https://h", "picture"),
        ("https://[me:secret@h/x.png", "https://", "picture"),
    ],
)
def test_nothing_secret_is_shown_and_no_folder_is_left(url, shown, place):
    address = Address(url)
    assert is_address(url)
    assert address.url == url
    assert str(address) == repr(address) == (shown or str(address))
    assert address.place == place


@pytest.mark.parametrize("name", ["a.png", "file:///etc/passwd", "ftp://h/a.png", "/https://h/a"])
def test_other_names_are_files(name):
    assert not is_address(name)


def test_addresses_that_differ_in_the_query_only_are_told_apart():
    ids = [f"https://me:secret@h/pictures/show.jpg?id={number}" for number in (1, 2, 1)]
    listed = Listed([*ids, "https://h/other.jpg?id=3", "show.jpg?id=1"])
    names, places = zip(*((str(one), one.place) for one in listed[:4]), strict=True)
    assert names == (
        "https://h/pictures/show.jpg?d9fc91d4",
        "https://h/pictures/show.jpg?25d0c83e",
        "https://h/pictures/show.jpg?d9fc91d4",
        "https://h/other.jpg",
    )
    assert places[:2] == ("pictures/show-d9fc91d4.jpg", "pictures/show-25d0c83e.jpg")
    assert listed[1].url == ids[1]


def test_a_server_that_does_not_answer_is_left_alone_for_a_while(monkeypatch):
    now, asked, answer = [0.0], [], TimeoutError()

    def opened(address):
        asked.append(str(address))
        now[0] += 30
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(addresses, "_waits", {})
    monkeypatch.setattr(addresses, "_opened", opened)
    monkeypatch.setattr(addresses.time, "monotonic", lambda: now[0])

    def ask(url="gs://bucket/a.png"):
        try:
            return Address(url).open().read()
        except InputError as error:
            return str(error).rpartition(": ")[2]

    late, silent = "it does not come in time", "its server does not answer"
    assert [ask() for _ in range(5)] == [late, late, late, silent, silent]
    assert ask("gs://other/a.png") == late
    now[0] += 30
    assert [ask(), ask()] == [late, silent]
    now[0] += 30
    answer = FileNotFoundError()  # it is there, and says what is wrong
    assert [ask(), ask()] == ["no such file"] * 2
    answer = BytesIO(b"picture")
    assert ask() == b"picture"
    answer = TimeoutError()
    assert [ask() for _ in range(4)] == [late, late, late, silent]
    assert len(asked) == 11


PASSWORD = f"Basic {b64encode(b'me:secret').decode()}"
MOVED = {"/moved.png": "/a/cat.png?token=secret", "/loop.png": "/loop.png?token=secret"}
CODES = {"/moved.png": 302, "/loop.png": 302, "/broken.png": 500, "/none.png": 404}


@pytest.fixture
def server(samples):
    """A server: pictures, one behind a password, one that ends too soon, one without an end."""
    cat = (samples / "cat.png").read_bytes()
    asked = []
    together = Barrier(3)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            asked.append(path)
            if path.endswith("silent.png"):
                sleep(5)
            if path.startswith("/together"):
                together.wait(30)
            known = path != "/private.png" or self.headers["Authorization"] == PASSWORD
            self.send_response(CODES.get(path, 200) if known else 401)
            if path in MOVED:
                self.send_header("Location", MOVED[path])
            self.end_headers()
            for piece in (cat[:40000], cat[40000:]) if path == "/slow.png" else ():
                sleep(0.6)
                self.wfile.write(piece)
            self.wfile.write(cat[:5000] if path in {"/torn.png", "/endless.png"} else cat)
            while path == "/endless.png":
                self.wfile.write(bytes(1 << 20))

        def do_HEAD(self):
            sleep(5)

        def log_message(self, *_):
            pass

        def handle_one_request(self):
            with suppress(OSError):  # whoever asked has gone
                super().handle_one_request()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = True
        made.asked = asked
        made.host = f"127.0.0.1:{made.server_port}"
        Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def wanted(server, tmp_path):
    """A list of addresses with secrets in them, and of one file."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    names = [
        "a/cat.png?token=secret", "moved.png", "none.png?token=secret", "broken.png", "loop.png",
        "torn.png", "private.png",
    ]  # fmt: skip
    urls = [f"http://{server.host}/{name}" for name in names]
    urls[-1] = urls[-1].replace("//", "//me:secret@")
    (tmp_path / "list.txt").write_text("\n".join(urls))
    return tmp_path / "list.txt"


@pytest.mark.full
@pytest.mark.parametrize("where", ["here", "cluster"])
def test_a_list_may_name_addresses(process, wanted, server, tmp_path, where):
    plain = process("filter", "-k", "sobel", SAMPLES / "cat.png", "-o", "-").out
    cluster = ["--scheduler", "local:1"] if where == "cluster" else []
    if cluster:
        pytest.importorskip("distributed")
    where = ["-o", "out/", "--json", "--log", "log.jsonl"]
    done = process("filter", "-k", "sobel", "--files-from", wanted, *where, *cluster, check=False)
    assert done.code == 1
    records = [json.loads(line) for line in done.out.splitlines()]
    good = ["a/cat.png", "moved.png", "private.png"]
    assert [one["input"] for one in records] == [f"http://{server.host}/{name}" for name in good]
    assert [one["output"] for one in records] == [f"out/{name}" for name in good]
    assert all((tmp_path / "out" / name).read_bytes() == plain for name in good)
    errors = [line.rpartition(": ")[2] for line in done.err.splitlines() if "error:" in line]
    assert errors[:2] == ["no such file", "the server says 500"]
    assert len(errors) == 4
    told = done.err + done.text + (tmp_path / "log.jsonl").read_text()
    assert "secret" not in told
    assert server.host in told
    count = len(server.asked)
    again = process(
        "filter", "-k", "sobel", "--files-from", wanted, *where, "--resume", check=False
    )
    assert "0 done, 3 skipped, 4 failed" in again.err
    assert [json.loads(line) for line in again.out.splitlines()] == records
    assert not any("private" in name for name in server.asked[count:])


@pytest.mark.full
@pytest.mark.parametrize("verb", [["filter", "-k", "sobel", "-o", "out/"], ["classify"]])
def test_pictures_are_fetched_side_by_side(process, wanted, server, verb):
    names = ["a/cat.png", *(f"together/{number}.png" for number in range(3))]
    wanted.write_text("".join(f"http://{server.host}/{name}\n" for name in names))
    done = process(*verb, "--json", "--jobs", "3", "--files-from", wanted)
    told = [json.loads(line)["input"] for line in done.out.splitlines()]
    assert told == wanted.read_text().splitlines()


@pytest.mark.full
def test_a_slow_server_is_waited_for_and_a_silent_one_given_up(server, samples, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(addresses, "_waits", {})
    monkeypatch.setattr(addresses, "_STALLED", 1)
    since = monotonic()
    with Address(f"http://{server.host}/slow.png").open() as stream:
        assert stream.read() == (samples / "cat.png").read_bytes() * 2
    assert monotonic() - since > 1.2
    since = monotonic()
    with pytest.raises(InputError, match="it does not come in time"):
        Address(f"http://{server.host}/silent.png").open()
    assert monotonic() - since < 4


@pytest.mark.full
def test_settings_of_fsspec_and_proxies_of_the_environment_count(server, samples, monkeypatch):
    config = pytest.importorskip("fsspec.config")
    monkeypatch.setattr(addresses, "_waits", {})
    headers = {"client_kwargs": {"headers": {"Authorization": PASSWORD}}}
    monkeypatch.setitem(config.conf, "http", headers)
    with Address(f"http://{server.host}/private.png").open() as stream:
        assert stream.read() == (samples / "cat.png").read_bytes()
    monkeypatch.setenv("http_proxy", f"http://{server.host}")
    Address("http://nowhere.invalid/a/proxy.png").open().close()
    assert server.asked[-1] == "http://nowhere.invalid/a/proxy.png"


@pytest.mark.full
@pytest.mark.parametrize(("scheme", "driver"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_buckets_that_do_not_answer_are_given_up(server, monkeypatch, scheme, driver):
    pytest.importorskip(driver)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_GCE_CHECK"):
        monkeypatch.setenv(name, "true")
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, f"http://{server.host}")
    monkeypatch.setattr(addresses, "_waits", {})
    monkeypatch.setattr(addresses, "_STALLED", 2)
    for _ in range(2):
        since = monotonic()
        with pytest.raises(InputError, match="it does not come in time"):
            Address(f"{scheme}://b/silent.png").open()
    assert monotonic() - since < 4  # the first time the driver is imported


@pytest.mark.full
def test_what_has_no_end_is_bounded(process, wanted, server):
    wanted.write_text(f"http://{server.host}/endless.png")
    limits = ["--max-pixels", "200000", "-o", "out/"]
    done = process("filter", "-k", "sobel", "--files-from", wanted, *limits, check=False)
    assert done.code == 3
    assert "over the limit" in done.err


@pytest.mark.full
@pytest.mark.parametrize("verb", [["classify", "--format", "csv"], ["features"]])
def test_networks_take_addresses(process, wanted, server, samples, verb):
    wanted.write_text(f"http://me:secret@{server.host}/private.png\n{samples / 'cat.png'}")
    done = process(*verb, "--files-from", wanted)
    rows = [line.split(",") for line in done.text.splitlines()]
    values = 3 if verb == ["features"] else 1
    first, second = (
        [row[values:] for row in rows if name in row[0]] for name in ("private.png", "cat.png")
    )
    assert first == second
    assert len(first) == (1 if verb == ["features"] else 5)
    assert "secret" not in done.text + done.err


@pytest.fixture
def bucket(samples, monkeypatch):
    """A server of S3 on this machine, whose bucket "photos" holds a picture; its address."""
    moto = pytest.importorskip("moto.server", reason="takes pip install 'moto[server]' s3fs")
    pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    ask("PUT", f"{url}/photos")
    for key in ("a/cat.png", "a?b#c%20d::.png"):
        ask("PUT", f"{url}/photos/{quote(key)}", (samples / "cat.png").read_bytes())
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    yield url
    server.stop()


def ask(verb, url, data=b""):
    headers = {"Content-Type": "application/octet-stream"}
    with urlopen(Request(url, data, headers, method=verb), timeout=20):
        pass


@pytest.mark.full
def test_buckets_are_read(process, bucket, samples, tmp_path, monkeypatch):
    plain = process("filter", "-k", "sobel", samples / "cat.png", "-o", "-").out
    names = ["photos/a/cat.png", "photos/none.png", "none/a.png", "me:secret@photos/b.png"]
    names.append("photos/a?b#c%20d::.png")
    (tmp_path / "list.txt").write_text("".join(f"s3://{name}\n" for name in names))
    command = ["filter", "-k", "sobel", "--files-from", "list.txt", "-o", "out/", "--overwrite"]

    def errors():
        done = process(*command, "--log", "log.jsonl", check=False)
        assert "secret" not in done.err + (tmp_path / "log.jsonl").read_text()
        lines = [line for line in done.err.splitlines() if ": note: " not in line]
        assert all(line.startswith("cnntool: error: s3://") for line in lines)
        return [line.removeprefix("cnntool: error: s3://") for line in lines]

    assert errors()[:3] == [f"{name}: no credentials are found for it" for name in names[:3]]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "my secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret, too")
    none, nowhere, strange = errors()
    assert none == "photos/none.png: no such file"
    assert nowhere == "none/a.png: no such file"
    assert strange.startswith("photos/b.png: ")
    assert (tmp_path / "out" / "a" / "cat.png").read_bytes() == plain
    assert (tmp_path / "out" / "a?b#c%20d::.png").read_bytes() == plain
    ask("POST", f"{bucket}/moto-api/reset-auth", b"0")
    assert errors()[0] == "photos/a/cat.png: permission denied"


def test_arguments_are_files(fails):
    assert "not fetched" in fails(2, "filter", "-k", "sobel", "https://127.0.0.1:1/a.png")


def test_what_reads_addresses_is_named(here, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "list.txt").write_text("https://127.0.0.1:1/a.png")
    done = here("filter", "-k", "sobel", "--files-from", tmp_path / "list.txt", code=2)
    assert "pip install 'cnntool[cluster]'" in done.err
