#!/usr/bin/env python3
"""The daemon as its users start it: ready line, admin key, errors, signals, kill -9, idle cost. Standard library only.

daemon_test.py AIRLORED     runs every test against that program; last line: N passed, N failed, N skipped. Exit 0 if none failed.
"""
import contextlib, json, os, random, resource, select, shutil, signal, socket, ssl, stat, subprocess, sys, tempfile, time
import urllib.error, urllib.request

DAEMON = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ''
SANITIZED = False
START_S = 60


class Skip(Exception):
    """The environment lacks something; the text names it."""


class Server:
    """One run of the daemon in a folder of its own."""

    def __init__(self, home, *args, data=None):
        self.home, self.data = home, data or os.path.join(home, 'data')
        self.err_path = os.path.join(home, 'stderr')
        command = [DAEMON, '--data', self.data, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', *args]
        with open(self.err_path, 'ab') as err:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=environment(home))
        self.line = read_line(self.process.stdout)
        parts = dict(word.split('=', 1) for word in self.line.split()[1:] if '=' in word)
        self.grpc, self.http = parts.get('grpc', ''), parts.get('http', '')

    @property
    def errors(self):
        with open(self.err_path, encoding='utf-8', errors='replace') as f:
            return f.read()

    def key(self):
        with open(os.path.join(self.data, 'admin.key'), encoding='ascii') as f:
            return f.read()

    def get(self, path):
        """(status, type, text)"""
        try:
            with urllib.request.urlopen(f'http://{self.http}{path}', timeout=20) as r:
                return r.status, r.headers['Content-Type'], r.read().decode()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.headers['Content-Type'], e.read().decode()

    def end(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def environment(home):
    env = {k: v for k, v in os.environ.items() if not k.startswith(('XDG_', 'AIRLORE_', 'OMP_', 'OPENBLAS_'))}
    return {**env, 'HOME': home}


def read_line(stream):
    ready, _, _ = select.select([stream], [], [], START_S)
    return stream.readline().decode().rstrip('\n') if ready else ''


def run(home, *args, timeout=START_S, **more):
    """Run to its end: (status, stdout, stderr)."""
    p = subprocess.run([DAEMON, *args], capture_output=True, text=True, timeout=timeout, env=environment(home), **more)
    return p.returncode, p.stdout, p.stderr


def expect(holds, said):
    if not holds:
        raise AssertionError(str(said)[:800])


def threads_of(pid):
    names = []
    for task in os.listdir(f'/proc/{pid}/task'):
        with contextlib.suppress(OSError), open(f'/proc/{pid}/task/{task}/comm', encoding='ascii') as f:
            names.append(f.read().strip())
    return names


def status_of(pid, field):
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        return next(line.split(':', 1)[1].strip() for line in f if line.startswith(field + ':'))


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


# ---- what it prints ----

def test_version_and_help(home):
    rc, out, _ = run(home, '--version')
    expect(rc == 0 and out.startswith('airlored 0.'), out)
    for word in ('commit ', 'compiler ', 'gRPC core ', 'RocksDB ', 'FAISS ', 'protobuf-c 1.', 'libmicrohttpd '):
        expect(word in out, f'{word} missing: {out}')
    rc, out, _ = run(home, '--help')
    expect(rc == 0 and '--listen HOST:PORT' in out, out)


def test_wrong_usage(home):
    for args in (['--nonsense'], ['--data'], ['extra'], ['--role', 'king'], ['--listen', 'nowhere'], ['--http', 'h:99999'], ['--etcd', 'http://e:1']):
        rc, out, err = run(home, *args)
        expect(rc == 2 and out == '' and err.startswith('airlored: '), (args, rc, out, err))
    for role in ('node', 'coordinator'):
        rc, out, err = run(home, '--role', role)
        expect(rc == 2 and 'UNIMPLEMENTED' in err and role in err, (rc, err))


def test_configuration(home):
    path = os.path.join(home, 'airlored.yaml')

    def write(text):
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
    write('shards: 2\n# fine so far\nlog:\n  level: loud\n')
    rc, out, err = run(home, '--config', path)
    expect(rc == 2 and 'airlored.yaml:4:' in err and 'log.level' in err and 'loud' in err, (rc, err))
    write('shards: 2\nnonsense: 1\n')
    rc, out, err = run(home, '--config', path, '--check-config')
    expect(rc == 2 and 'airlored.yaml:2:' in err and 'nonsense' in err, (rc, err))
    rc, out, err = run(home, '--config', os.path.join(home, 'absent.yaml'))
    expect(rc == 2 and 'absent.yaml' in err, (rc, err))
    write('shards: 2\n')
    rc, out, err = run(home, '--config', path, '--check-config')
    expect(rc == 0 and 'good' in out, (rc, out, err))
    rc, out, err = run(home, '--config', path, '--print-config', '--name', 'printed')
    expect(rc == 0 and 'shards: 2' in out and 'name: "printed"' in out, (rc, out))
    write(out)
    expect(run(home, '--config', path, '--print-config') == (0, out, ''), 'printed configuration changes when read')


# ---- a life ----

def test_first_and_second_start(home):
    with Server(home) as s:
        expect(s.line == f'ready grpc={s.grpc} http={s.http}' and s.grpc and s.http, (s.line, s.errors))
        expect(s.grpc.startswith('127.0.0.1:') and not s.grpc.endswith(':0'), s.grpc)
        mode = os.stat(os.path.join(s.data, 'admin.key')).st_mode
        expect(stat.S_IMODE(mode) == 0o600, oct(mode))
        expect(stat.S_IMODE(os.stat(s.data).st_mode) == 0o700, 'data folder')
        first = s.key()
        expect(first.startswith('al_') and first.endswith('\n') and first.count('\n') == 1, 'form of the key')
        for line in s.errors.splitlines():
            expect({'time', 'level', 'event'} <= set(json.loads(line)), line)
        expect(first.strip().split('_')[-1] not in s.errors, 'the secret stands in the log')
        expect(s.end() == 0, s.errors)
        expect(s.process.stdout.read() == b'', 'more than one line on standard output')
    with Server(home) as s:
        expect(s.line.startswith('ready '), s.errors)
        expect(s.key() == first, 'another key after a restart')
        expect(s.end(signal.SIGTERM) == 0, s.errors)


def test_interrupt(home):
    default = signal.signal(signal.SIGINT, signal.SIG_DFL)  # so that the child does not inherit that it is ignored
    try:
        with Server(home) as s:
            expect(s.end(signal.SIGINT) == 0, s.errors)
    finally:
        signal.signal(signal.SIGINT, default)


def test_key_is_made_again(home):
    with Server(home) as s:
        first = s.key()
        expect(s.end() == 0, s.errors)
    os.remove(os.path.join(s.data, 'admin.key'))
    with Server(home) as s:
        expect(s.key() != first and 'admin_key.made' in s.errors, s.errors)


def test_kill_and_restart(home):
    key = None
    for _ in range(4):
        with Server(home) as s:
            expect(s.line.startswith('ready '), s.errors)
            key = key or s.key()
            expect(s.key() == key, 'another key after kill -9')
            expect(s.end(signal.SIGKILL) == -signal.SIGKILL, 'not killed')


def test_kill_during_first_start(home):
    """Killed at any moment of the first start: the next one comes up with a key that is there."""
    for i in range(8):
        data = os.path.join(home, f'data{i}')
        command = [DAEMON, '--data', data, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0']
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(home)) as p:
            select.select([p.stdout], [], [], 0.02 + 0.06 * i)
            p.kill()
        with Server(home, data=data) as s:
            expect(s.line.startswith('ready ') and s.key().startswith('al_'), s.errors)


def test_signal_during_start(home):
    with Server(home) as s:
        s.end()
    command = [DAEMON, '--data', s.data, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0']
    for i in range(5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(home)) as p:
            select.select([p.stdout], [], [], 0.01 + 0.04 * i)
            p.terminate()
            # Before main() has begun the signal ends the process as it would any other.
            expect(p.wait(30) in (0, -signal.SIGTERM), (p.returncode, p.stderr.read()))


def test_runtime_file(home):
    path = os.path.join(home, '.local/state/airlore/server.json')
    with Server(home) as s:
        with open(path, encoding='utf-8') as f:
            doc = json.load(f)
        expect((doc['grpc'], doc['http'], doc['pid']) == (s.grpc, s.http, s.process.pid), doc)
        expect(doc['data'] == os.path.realpath(s.data) and doc['started'].endswith('Z'), doc)
        expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600, 'mode')
        expect(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700, 'mode of the folder')
        with Server(home, data=os.path.join(home, 'second')) as t:
            with open(path, encoding='utf-8') as f:
                expect(json.load(f)['pid'] == t.process.pid, 'the last one started is the one found')
            expect(t.end() == 0, t.errors)
        with open(path, encoding='utf-8') as f:
            expect(json.load(f)['pid'] == s.process.pid, 'the first one is found again')
        expect(s.end() == 0, s.errors)
    expect(not os.path.exists(path), 'left behind')


def test_runtime_file_cannot_be_written(home):
    os.makedirs(os.path.join(home, '.local'))
    with open(os.path.join(home, '.local/state'), 'w', encoding='ascii') as f:
        f.write('in the way')
    with Server(home) as s:
        expect(s.line.startswith('ready ') and 'runtime_file.failed' in s.errors, s.errors)
        expect(s.end() == 0, s.errors)


def test_open_to_the_network_warns(home):
    with Server(home, '--listen', '0.0.0.0:0') as s:
        expect(s.grpc.startswith('0.0.0.0:') and 'rpc.without_tls' in s.errors, s.errors)
        with open(os.path.join(home, '.local/state/airlore/server.json'), encoding='utf-8') as f:
            expect(json.load(f)['grpc'] == s.grpc.replace('0.0.0.0', '127.0.0.1'), 'what a client dials')


def test_tls(home):
    if not shutil.which('openssl'):
        raise Skip('openssl, to make a certificate')
    cert, key, config = (os.path.join(home, x) for x in ('cert.pem', 'key.pem', 'c.yaml'))
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
                    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], check=True, capture_output=True)

    def write(text):
        with open(config, 'w', encoding='ascii') as f:
            f.write(text)
    write(f'tls:\n  cert: {cert}\n  key: {key}\n')
    with Server(home, '--config', config, '--listen', '0.0.0.0:0') as s:
        expect(s.line.startswith('ready ') and 'rpc.without_tls' not in s.errors, s.errors)
        context = ssl.create_default_context(cafile=cert)
        context.set_alpn_protocols(['h2'])
        with socket.create_connection(('127.0.0.1', int(s.grpc.rsplit(':', 1)[1])), timeout=20) as c, \
                context.wrap_socket(c, server_hostname='localhost') as t:
            expect(t.selected_alpn_protocol() == 'h2', t.selected_alpn_protocol())
        expect(s.end() == 0, s.errors)
    write(f'tls:\n  cert: {cert}\n  key: {cert}.absent\n')
    rc, _, err = run(home, '--config', config, '--data', os.path.join(home, 'data'), '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0')
    expect(rc == 1 and 'tls.key' in err and '.absent' in err, (rc, err))
    write(f'tls:\n  cert: {config}\n  key: {key}\n')
    rc, _, err = run(home, '--config', config, '--data', os.path.join(home, 'data'), '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0')
    expect(rc == 1 and 'BAD_TLS' in err, (rc, err))


# ---- what is in the way ----

def test_port_in_use(home):
    with Server(home) as s:
        for option, address in (('--listen', s.grpc), ('--http', s.http)):
            rc, out, err = run(home, '--data', os.path.join(home, 'other'), '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', option, address)
            expect(rc == 1 and out == '' and 'in use' in err and address in err, (rc, err))
        expect(s.get('/readyz')[0] == 200, 'the first one suffers')


def test_data_folder_in_use(home):
    with Server(home) as s:
        rc, out, err = run(home, '--data', s.data, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0')
        expect(rc == 1 and out == '' and 'in use' in err and str(s.process.pid) in err, (rc, err))
        expect(s.get('/readyz')[0] == 200, 'the first one suffers')


def test_other_number_of_shards(home):
    with Server(home) as s:
        expect(s.end() == 0, s.errors)
    path = os.path.join(home, 'c.yaml')
    with open(path, 'w', encoding='ascii') as f:
        f.write('shards: 4\n')
    rc, _, err = run(home, '--config', path, '--data', s.data, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0')
    expect(rc == 1 and 'shards' in err, (rc, err))
    with Server(home, '--config', path, data=os.path.join(home, 'four')) as s:
        expect(s.line.startswith('ready '), s.errors)
        metrics = s.get('/metrics')[2]
        expect('airlore_shard_documents{shard="3"} 0' in metrics and 'airlore_shard_documents{shard="65535"} 0' in metrics, metrics)


def test_data_folder_cannot_be_written(home):
    place = os.path.join(home, 'file')
    with open(place, 'w', encoding='ascii') as f:
        f.write('x')
    for data in (place, os.path.join(place, 'below'), '/proc/airlore-data'):
        rc, out, err = run(home, '--data', data, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0')
        expect(rc == 1 and out == '' and 'data folder' in err, (data, rc, err))


@contextlib.contextmanager
def small_disk(home, size):
    place = os.path.join(home, 'disk')
    os.mkdir(place)
    if os.geteuid() != 0:
        raise Skip('root, to mount a small file system')
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'none', place], capture_output=True, check=False).returncode:
        raise Skip('the right to mount a small file system')
    try:
        yield place
    finally:
        subprocess.run(['umount', '-l', place], check=False)


def test_full_disk(home):
    with small_disk(home, '4m') as place:
        with open(os.path.join(place, 'filler'), 'wb', buffering=0) as f, contextlib.suppress(OSError):
            while True:
                f.write(b'x' * 4096)
        rc, out, err = run(home, '--data', os.path.join(place, 'data'), '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0')
        expect(rc == 1 and out == '' and 'o space left' in err or 'free' in err, (rc, err))


def test_disk_below_the_watermark(home):
    """Too little space for writes on the first start: it says so and does not begin half."""
    with small_disk(home, '64m') as place:
        rc, out, err = run(home, '--data', os.path.join(place, 'data'), '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0')
        expect(rc == 1 and out == '' and 'DISK_FULL' in err, (rc, err))


# ---- while it serves ----

def test_http(home):
    with Server(home) as s:
        code, kind, text = s.get('/metrics')
        expect(code == 200 and kind.startswith('text/plain; version=0.0.4'), (code, kind))
        samples = {}
        for line in text.splitlines():
            if not line.startswith('#'):
                name, value = line.rsplit(' ', 1)
                samples[name] = float(value)
        expect(samples['airlore_ready'] == 1, 'airlore_ready')
        expect(any(n.startswith('airlore_build_info{version="0.') and v == 1 for n, v in samples.items()), 'airlore_build_info')
        expect(samples['airlore_uptime_seconds'] > 0 and samples['airlore_shard_read_only{shard="0"}'] == 0, 'gauges')
        expect(samples['airlore_data_free_bytes'] > samples['airlore_data_min_free_bytes'] == 256 << 20, 'free space')
        expect(s.get('/healthz')[0] == 200 and s.get('/readyz')[0] == 200, 'health')
        code, kind, text = s.get('/')
        expect(code == 200 and s.grpc in text, text)
        code, kind, text = s.get('/nothing')
        expect(code == 404 and json.loads(text)['error']['status'] == 'NOT_FOUND', text)


def test_garbage_on_the_wire(home):
    with Server(home) as s:
        r = random.Random(1)
        host, port = s.grpc.rsplit(':', 1)
        for i in range(20):
            with socket.create_connection((host, int(port)), timeout=20) as c, contextlib.suppress(OSError):
                c.sendall((b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' if i % 2 else b'') + r.randbytes(20000))
        expect(s.get('/readyz')[0] == 200 and s.process.poll() is None, s.errors)
        expect(s.end() == 0, s.errors)


def test_draining_is_shown_and_second_signal_ends(home):
    """With a call that does not end the drain lasts; meanwhile /readyz says so, and a second signal ends the process."""
    path = os.path.join(home, 'c.yaml')
    with open(path, 'w', encoding='ascii') as f:
        f.write('drain_grace: 60s\n')
    with Server(home, '--config', path) as s:
        with open_call(s) as held:
            s.process.terminate()
            deadline = time.monotonic() + 20
            while (answer := s.get('/readyz'))[0] == 200 and time.monotonic() < deadline:
                select.select([], [], [], 0.02)
            expect(answer[0] == 503 and 'draining' in answer[2], answer)
            expect(s.get('/healthz')[0] == 200 and 'airlore_ready 0' in s.get('/metrics')[2], 'health while draining')
            expect(held.fileno() >= 0 and s.process.poll() is None, 'ended although a call was open')
            s.process.terminate()
            expect(s.process.wait(20) == 1, s.errors)


def open_call(s):
    """A connection with a call that waits: grpc.health.v1.Health/Watch, in HTTP/2 written by hand."""
    host, port = s.grpc.rsplit(':', 1)
    c = socket.create_connection((host, int(port)), timeout=20)

    def frame(kind, flags, stream, payload):
        return len(payload).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + payload

    def field(name, value):
        return b'\x00' + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    headers = b''.join(field(*pair) for pair in (
        (':method', 'POST'), (':scheme', 'http'), (':path', '/grpc.health.v1.Health/Watch'), (':authority', 'x'),
        ('te', 'trailers'), ('content-type', 'application/grpc'), ('authorization', 'Bearer ' + s.key().strip())))
    c.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b'') + frame(1, 4, 1, headers) + frame(0, 1, 1, bytes(5)))
    got = b''
    while b'application/grpc' not in got and b'\x00\x00\x00\x00\x02\x08\x01' not in got:
        piece = c.recv(65536)
        expect(piece, f'the call was refused: {got!r}')
        got += piece
        if len(got) > 100000:
            break
        if b'\x08\x01' in got:
            break
    return c


def test_idle_costs_nothing(home):
    with Server(home) as s:
        pid = s.process.pid
        select.select([], [], [], 1.5)  # what the start left to do
        before = cpu_seconds(pid)
        select.select([], [], [], 3)
        used = cpu_seconds(pid) - before
        resident = int(status_of(pid, 'VmRSS').split()[0]) / 1024
        print(f'     idle: {used:.2f} s CPU in 3 s, {resident:.0f} MB resident, {len(threads_of(pid))} threads')
        expect(used <= 0.1, f'{used} s CPU in 3 s idle')
        expect(SANITIZED or resident <= 100, f'{resident} MB resident')


def test_threads_are_ours(home):
    """No thread but the one that waits for signals sees them: all others have SIGTERM blocked, those of libraries included."""
    with Server(home) as s:
        for task in os.listdir(f'/proc/{s.process.pid}/task'):
            with open(f'/proc/{s.process.pid}/task/{task}/status', encoding='ascii') as f:
                text = f.read()
            if text.startswith('Name:\tal-signal'):
                continue  # it waits for them
            blocked = int(next(l for l in text.splitlines() if l.startswith('SigBlk:')).split()[1], 16)
            expect(blocked >> (signal.SIGTERM - 1) & 1, text.splitlines()[0])
        expect(s.end() == 0, s.errors)


def test_many_restarts_leave_nothing(home):
    """Descriptors are let go and the folder does not grow over clean restarts."""
    sizes = []
    for _ in range(5):
        with Server(home) as s:
            expect(s.end() == 0, s.errors)
        sizes.append(sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(s.data) for f in files))
    expect(sizes[-1] < sizes[0] + (4 << 20), sizes)


def main():
    global SANITIZED
    if not DAEMON:
        sys.exit(__doc__)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(DAEMON, 'rb') as f:
        SANITIZED = b'__asan_init' in f.read()
    passed = failed = skipped = 0
    only = sys.argv[2:]
    for name, test in list(globals().items()):
        if not name.startswith('test_') or (only and name not in only):
            continue
        home = tempfile.mkdtemp(prefix='airlored-test-')
        try:
            test(home)
            passed += 1
            print('ok   ' + name, flush=True)
        except Skip as e:
            skipped += 1
            print(f'skip {name}: needs {e}', flush=True)
        except Exception as e:  # a broken test is a failed one
            failed += 1
            print(f'FAIL {name}: {type(e).__name__}: {e}', flush=True)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
