#!/usr/bin/env python3
"""Measures a service over NATS beside what its users have today, in one run on one machine.

    tests/bench/service.py [--part throughput|memory|commands|pollers] [--quick] [--trials N]

Builds the release binary, starts `fleetfit serve --nats managed` and runners with one slot each, and
prints a line for each figure. It needs nats-server (`$FLEETFIT_NATS_SERVER`, or on the path); for the
comparison with Optuna it installs Optuna from PyPI into target/bench-venv. `xargs` comes with the
system. Figures of shared machines are worth their ratios, not their seconds.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OPTUNA = "optuna==5.0.0"


class Service:
    """A service with a private NATS and runners of one slot each, in a folder of its own."""

    def __init__(self, binary, runners):
        self.binary = str(binary)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fleetfit-bench-"))
        self.home = self.dir / "home"
        self.processes = []
        self.serve = self.start("serve", "--nats", "managed", "--listen", "127.0.0.1:0")
        self.address = self.wait_for_address()
        environment = {"FLEETFIT_HOME": str(self.home)}
        for number in range(runners):
            self.start(
                "runner", "--nats", "managed", "--slots", "1", "--name", f"bench-{number}",
                data_dir=self.dir / f"runner-{number}", more=environment,
            )
        self.wait_until(lambda: len(self.get("/api/v1/runners")["items"]) == runners)

    def start(self, *arguments, data_dir=None, more=None):
        log = open(self.dir / f"{arguments[0]}-{len(self.processes)}.log", "wb")
        process = subprocess.Popen(
            [self.binary, *arguments, "--data-dir", str(data_dir or self.home)],
            stdout=log, stderr=log,
            env={**os.environ, "FLEETFIT_LOG": "info", "NO_COLOR": "1", **(more or {})},
        )
        self.processes.append(process)
        return process

    def wait_for_address(self):
        log = self.dir / "serve-0.log"

        def address():
            for line in log.read_text().splitlines():
                if "listens on http://" in line:
                    return line.split("http://")[1].strip()
            return None

        return self.wait_until(address)

    @staticmethod
    def wait_until(found, at_most=60):
        until = time.monotonic() + at_most
        while time.monotonic() < until:
            value = found()
            if value:
                return value
            time.sleep(0.02)
        raise SystemExit("the service did not come up")

    def get(self, path):
        host, port = self.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def submit(self, job):
        """Runs a job to its end; seconds from the command to the last trial, and the status."""
        began = time.monotonic()
        said = subprocess.run(
            [self.binary, "submit", str(job), "--data-dir", str(self.home), "--output", "json",
             "--quiet"],
            capture_output=True, text=True, check=False,
        )
        if said.returncode != 0:
            raise SystemExit(f"submit: {said.stdout}{said.stderr}")
        name = json.loads(said.stdout)["study"]
        while True:
            status = self.get(f"/api/v1/studies/{name}")
            if status["status"] not in ("queued", "running"):
                return time.monotonic() - began, status
            time.sleep(0.05)

    def rss_mb(self):
        for line in pathlib.Path(f"/proc/{self.serve.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu_s(self):
        """What each of them has used so far, in seconds."""
        serve, *runners = (process.pid for process in self.processes)
        nats = int((self.home / "nats" / "pid").read_text().split()[0])
        return {"service": cpu_s(serve), "NATS": cpu_s(nats), "runners": sum(map(cpu_s, runners))}

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def tiny_job(folder, name, entities, configurations):
    """Many entities with a handful of rows each: fits that cost next to nothing."""
    draw = random.Random(1)
    with open(folder / "tiny.csv", "w") as out:
        out.write("shop,x,y\n")
        for shop in range(entities):
            for _ in range(6):
                x = draw.random()
                out.write(f"{shop},{x:.4f},{2 * x + draw.gauss(0, 0.1):.4f}\n")
    job = folder / f"{name}.yaml"
    job.write_text(f"""type: sweep
name: {name}
training_data: {{path: tiny.csv}}
target_column_name: y
task: regression
partition_column_names: [shop]
trial: {{learner: ridge}}
search_space: {{alpha: {{type: float, min: 0.001, max: 100, scale: log}}}}
sampling_algorithm: random
objective: {{goal: minimize, primary_metric: root_mean_squared_error}}
n_cross_validations: 2
limits: {{max_total_trials: {configurations}, max_concurrent_trials: 200, timeout: 36000}}
seed: 1
""")
    return job


def throughput(binary, quick):
    entities, configurations = 1_000, 100 if quick else 300
    service = Service(binary, 2)
    try:
        job = tiny_job(service.dir, "tiny", entities, configurations)
        seconds, status = service.submit(job)
        ended = status["trials"]["completed"]
        assert ended == entities * configurations, status
        ours = ended / seconds
        print(f"throughput: {ended} trials through NATS, each on disk, in {seconds:.1f} s: "
              f"{ours:,.0f} trials/s with 2 runners")
    finally:
        service.close()
    theirs = optuna(1_000 if quick else 2_000)
    print(f"throughput: Optuna with JournalFileStorage, 2 processes: {theirs:,.0f} trials/s; "
          f"ratio {ours / theirs:,.0f}")


OPTUNA_WORKER = """
import sys, optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = JournalStorage(JournalFileBackend(sys.argv[1]))
study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True,
                            sampler=optuna.samplers.RandomSampler())
study.optimize(lambda trial: trial.suggest_float("alpha", 0.001, 100, log=True), n_trials=int(sys.argv[2]))
"""


def optuna(trials):
    venv = TARGET / "bench-venv"
    python = venv / "bin" / "python"
    if not (venv / OPTUNA).exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", OPTUNA], check=True)
        (venv / OPTUNA).touch()
    with tempfile.TemporaryDirectory() as folder:
        journal = str(pathlib.Path(folder) / "journal.log")
        run = lambda n: subprocess.Popen([str(python), "-c", OPTUNA_WORKER, journal, str(n)])
        run(1).wait()
        began = time.monotonic()
        workers = [run(trials // 2) for _ in range(2)]
        for worker in workers:
            if worker.wait() != 0:
                raise SystemExit("Optuna failed")
        return trials / (time.monotonic() - began)


def memory(binary, quick, trials=1_000_000):
    entities = 1_000
    configurations = 300 if quick else trials // entities
    service = Service(binary, 2)
    try:
        job = tiny_job(service.dir, "million", entities, configurations)
        early, peak, done = [], [0.0], threading.Event()

        def look():
            while not done.is_set():
                rss = service.rss_mb()
                peak[0] = max(peak[0], rss)
                try:
                    trials = service.get("/api/v1/studies/million")["trials"]["completed"]
                except Exception:
                    trials = 0
                if not early and trials >= 100_000:
                    early.append(rss)
                time.sleep(0.2)

        looker = threading.Thread(target=look)
        looker.start()
        _, status = service.submit(job)
        late = service.rss_mb()
        done.set()
        looker.join()
        total = status["trials"]["completed"]
        disk = sum(file.stat().st_size for file in (service.home / "journal").rglob("*")
                   if file.is_file()) / 1e6
        first = early[0] if early else late
        print(f"memory: the service had {first:.0f} MB after 100,000 trials, {late:.0f} MB after "
              f"{total:,} ({(late / first - 1) * 100:+.0f} %), {peak[0]:.0f} MB at most; journal {disk:.0f} MB")
        service.serve.send_signal(signal.SIGKILL)
        service.serve.wait()
        began = time.monotonic()
        service.serve = service.start("serve", "--nats", "managed", "--listen", service.address)
        service.wait_until(lambda: is_up(service))
        print(f"memory: a service with {total:,} trials answers {time.monotonic() - began:.2f} s "
              "after it was started")
        best(service, "million", entities)
    finally:
        service.close()


def is_up(service):
    try:
        return service.get("/healthz").get("status") == "ok"
    except Exception:
        return False


def best(service, study, entities):
    host, port = service.address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    times = []
    for _ in range(500):
        entity = random.randrange(entities)
        began = time.perf_counter()
        connection.request("GET", f"/api/v1/studies/{study}/best?entity={entity}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        times.append((time.perf_counter() - began) * 1e3)
    times.sort()
    print(f"best of one entity over REST: median {times[250]:.2f} ms, 99 of 100 within "
          f"{times[495]:.2f} ms")


def commands(binary, quick):
    """In turns, so that what else the machine does meets both."""
    turns, trials = (2, 1_000) if quick else (5, 2_000)
    ours = theirs = 0.0
    service = Service(binary, 2)
    try:
        for turn in range(turns):
            seconds, status = service.submit(sleep_job(service.dir, f"sleep-{turn}", trials))
            assert status["trials"]["completed"] == trials, status
            ours += seconds
            theirs += xargs(trials)
    finally:
        service.close()
    print(f"commands: {turns * trials} of 50 ms on 2 runners with 1 slot: {ours:.1f} s; xargs -P2 "
          f"{theirs:.1f} s; overhead {(ours / theirs - 1) * 100:+.1f} %")


def sleep_job(folder, name, trials):
    job = folder / f"{name}.yaml"
    job.write_text(f"""type: sweep
name: {name}
trial:
  command: >-
    sleep 0.05; echo '{{"metric": "loss", "value": 1}}'
search_space: {{x: {{type: uniform, min_value: 0, max_value: 1}}}}
sampling_algorithm: random
objective: {{goal: minimize, primary_metric: loss}}
limits: {{max_total_trials: {trials}, max_concurrent_trials: 8, timeout: 36000}}
seed: 1
""")
    return job


def xargs(trials):
    began = time.monotonic()
    numbers = "\n".join(map(str, range(trials)))
    line = "sleep 0.05; echo '{\"metric\": \"loss\", \"value\": 1}' > /dev/null"
    subprocess.run(["xargs", "-P2", "-I{}", "sh", "-c", line], input=numbers.encode(), check=True)
    return time.monotonic() - began


def pollers(binary, quick):
    """The same job alone and while clients look on. Clients and service share the cores here, so
    the wall clock says what the machine is short of, and CPU time what the service pays."""
    rounds = 1 if quick else 3
    alone, watched = Phase("alone"), Phase("with 200 clients that poll each second and 20 streams")
    for _ in range(rounds):
        alone.run(binary, quick, 0, 0)
        watched.run(binary, quick, 200, 20)
    alone.tell()
    watched.tell()
    wall = watched.seconds / alone.seconds
    ours = watched.ours_us() / alone.ours_us()
    spent = watched.clients_s / (watched.seconds * os.cpu_count())
    print(f"pollers: {(1 / wall - 1) * 100:+.0f} % trials/s, while the clients took {spent * 100:.0f} % "
          f"of the machine; {(1 / ours - 1) * 100:+.0f} % trials per CPU second of service, NATS and "
          "runners")
    more_s = watched.cpu_s["service"] - alone.cpu_s["service"]
    print(f"pollers: a client costs the service {more_s / watched.seconds / 220 * 1e3:.2f} ms of CPU a "
          "second")


class Phase:
    """What the job took, over all rounds."""

    def __init__(self, name):
        self.name = name
        self.trials, self.seconds, self.clients_s, self.requests = 0, 0.0, 0.0, 0
        self.cpu_s = {"service": 0.0, "NATS": 0.0, "runners": 0.0}

    def run(self, binary, quick, clients, streams):
        entities, configurations = 1_000, 300 if quick else 1_000
        service = Service(binary, 2)
        watchers = None
        try:
            job = tiny_job(service.dir, "tiny", entities, configurations)
            if clients:
                watchers = subprocess.Popen(
                    [sys.executable, __file__, "--watch", service.address, "tiny", str(clients),
                     str(streams)],
                    stdout=subprocess.PIPE, text=True,
                )
                service.wait_until(lambda: watchers.stdout.readline().startswith("ready"))
            watched_s = lambda: cpu_s(watchers.pid) if watchers else 0.0
            before, watched_before = service.cpu_s(), watched_s()
            seconds, status = service.submit(job)
            after, watched_after = service.cpu_s(), watched_s()
            self.trials += status["trials"]["completed"]
            self.seconds += seconds
            self.clients_s += watched_after - watched_before
            for who in self.cpu_s:
                self.cpu_s[who] += after[who] - before[who]
            if watchers:
                watchers.send_signal(signal.SIGINT)
                self.requests += int(watchers.communicate(timeout=60)[0].split()[-1])
        finally:
            if watchers:
                watchers.kill()
                watchers.wait()
            service.close()

    def ours_us(self):
        return sum(self.cpu_s.values()) / self.trials * 1e6

    def tell(self):
        parts = ", ".join(f"{who} {cpu / self.trials * 1e6:.2f}" for who, cpu in self.cpu_s.items())
        print(f"pollers: {self.name}: {self.trials / self.seconds:,.0f} trials/s, "
              f"{self.ours_us():.2f} µs of CPU a trial ({parts}), clients {self.clients_s:.1f} s, "
              f"{self.requests} answers in {self.seconds:.1f} s")


def cpu_s(pid):
    """What a process has used so far, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(address, study, clients, streams):
    """Looks on until it is interrupted; then says how often it was answered."""
    done = threading.Event()
    answers = [0] * (clients + streams)
    threads = [threading.Thread(target=poll, args=(address, done, answers, nth))
               for nth in range(clients)]
    threads += [threading.Thread(target=listen, args=(address, study, done, answers, clients + nth))
                for nth in range(streams)]
    signal.signal(signal.SIGINT, lambda *_: done.set())
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    done.wait()
    for thread in threads:
        thread.join()
    print("answers", sum(answers), flush=True)


def poll(address, done, answers, nth):
    """Asks each second over one connection, as browsers and programs do."""
    host, port = address.rsplit(":", 1)
    done.wait(random.random())
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    while not done.is_set():
        try:
            connection.request("GET", "/api/v1/studies")
            answer = connection.getresponse()
            answer.read()
            answers[nth] += answer.status == 200
        except (OSError, http.client.HTTPException):
            connection.close()
        done.wait(1)


def listen(address, study, done, answers, nth):
    host, port = address.rsplit(":", 1)
    while not done.is_set():
        try:
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            connection.request("GET", f"/api/v1/studies/{study}/events")
            answer = connection.getresponse()
            if answer.status != 200:
                answer.read()
                done.wait(0.2)
                continue
            while not done.is_set() and (line := answer.readline()):
                answers[nth] += line.startswith(b"data:")
        except (OSError, http.client.HTTPException):
            done.wait(0.2)


def main():
    parts = {
        "throughput": throughput,
        "memory": lambda binary, quick: memory(binary, quick, arguments.trials),
        "commands": commands,
        "pollers": pollers,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=parts, action="append")
    parser.add_argument("--quick", action="store_true", help="fewer trials")
    parser.add_argument("--trials", type=int, default=1_000_000, help="of the part memory")
    parser.add_argument("--binary", help="an executable that is built already")
    parser.add_argument("--watch", nargs=4, metavar=("ADDRESS", "STUDY", "CLIENTS", "STREAMS"),
                        help="be the clients of the part pollers")
    arguments = parser.parse_args()
    if arguments.watch:
        address, study, clients, streams = arguments.watch
        watch(address, study, int(clients), int(streams))
        return
    binary = arguments.binary
    if not binary:
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
        binary = TARGET / "release" / "fleetfit"
    for name in arguments.part or parts:
        parts[name](binary, arguments.quick)


main()
