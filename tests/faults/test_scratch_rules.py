from tests.faults.test_alert_rules import *
import tests.faults.test_alert_rules as t

def test_x(settings, tmp_path):
    key = tmp_path / "notify.key"
    key.write_bytes(b"kPc5BvFKn3IwYJvBQJ8P1Vd9bNdB4P9eYyqkqVfN0bE=\n")
    settings = msgspec.structs.replace(settings, notify=NotifySettings(key_file=str(key)))
    with migrated(settings) as ours, migrated(settings) as empty, small_disk(tmp_path / "disk") as disk:
        dead_receiver(ours, f"R{uuid.uuid4().hex[:8].upper()}.XTST")
        feed = Feed(ours, ["AAA.XTST"])
        silence = tmp_path / "silence.json"
        silence.write_text('{"script": [{"kind": "silence", "at_s": 0, "count": 1000000}]}')
        silent = ["produce", "binance", "--against", "sim", "--sim-symbols", "2", "--dry-run"]
        full = msgspec.structs.replace(ours, data=str(disk)) if disk else ours
        lost = msgspec.structs.replace(empty, kafka=msgspec.structs.replace(empty.kafka, bootstrap="127.0.0.1:9"))
        sink = Watched("sink-postgres", ["sink", "postgres"], ours, tmp_path, SINK_BATCH_ROWS=1, METRICS_STALE_S=4)
        others = [
            Watched("sink-elsewhere", ["sink", "postgres"], lost, tmp_path),
            Watched(
                "sink-notify", ["sink", "notify"], ours, tmp_path,
                NOTIFY_KEY_FILE=key, NOTIFY_ALLOW_NETWORKS="127.0.0.0/8", NOTIFY_ALLOW_HTTP="true",
                NOTIFY_CASE_WAIT_S=0,
            ),
            Watched("reconcile", ["reconcile", "--every", "1", "--settle", "0", "--only", "postgres"], empty, tmp_path),
            Watched("producer", [*silent, "--sim-faults", str(silence)], full, tmp_path),
        ]
        import time
        with prometheus(tmp_path, [sink, *others]) as server:
            with pouring(feed, m.frame([m.quote("NOBODY.XTST", 1.0, 10.0, 11.0)], ["*", "NOBODY.XTST"])):
                print("up", time.ctime(), flush=True)
                try:
                    server.await_firing(
                    {
                        ("TapewatchFeedSilent", "tapewatch-producer"),
                        ("TapewatchSinkBehind", POSTGRES),
                        ("TapewatchReconcileDifferences", "tapewatch-reconcile"),
                        ("TapewatchNotReady", ELSEWHERE),
                        ("TapewatchBrokerUnreachable", ELSEWHERE),
                        ("TapewatchOutboxStuck", "tapewatch-sink-notify"),
                    }
                    | ({("TapewatchDiskFills", "tapewatch-producer")} if disk else set())
                )
                finally:
                    print("fired", time.ctime(), server.firing(), flush=True)
                    for p in (sink, *others):
                        try:
                            (tmp_path.parent / f"{p.job}.metrics").write_text(p.look())
                        except Exception as e: print(p.job, e)
            session = psycopg2.connect(dsn(ours))
            with session.cursor() as cursor:
                cursor.execute("LOCK TABLE sink_offsets IN ACCESS EXCLUSIVE MODE")
            server.await_firing({("TapewatchProcessStuck", POSTGRES)})
            print("stuck", time.ctime(), flush=True)
            session.close()
            sink.kill()
            next(each for each in others if each.job == "tapewatch-reconcile").kill()
            server.await_firing({
            ("TapewatchSinkDown", POSTGRES),
            ("TapewatchProcessDown", "tapewatch-reconcile"),
        })
            print("down", time.ctime(), flush=True)
