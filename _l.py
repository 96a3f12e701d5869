"""False alerts of fused_anomaly by odds_ratio."""
import sys, time, numpy as np
from collections import Counter
from benchmarks.training_data import START_NS, market_config
from producers.synthetic import SyntheticMarket
from streams.driver import Driver
from streams.engine.models import InForce, ModelShelf
from streams.engine.rules import DetectorConfig
from detectors.scenarios.fused_anomaly import Parameters
from tapewatch import messages, topics
from tapewatch.clock import NANOS
from tapewatch.messages import Alert, from_rfc3339
from tapewatch.registry import FixedRegistry
RATIOS=[float(x) for x in sys.argv[2].split(',')]
total={q:Counter() for q in RATIOS}; days=0
for seed in map(int,sys.argv[1].split(',')):
  for rate,n in ((2.,300),(.2,300),(20.,100)):
    market=SyntheticMarket(market_config(n,2400,rate=rate),seed,START_NS)
    sh=ModelShelf(); base=InForce.default(sh).models
    ds={q:Driver(FixedRegistry(market.instruments),force=InForce(sh,base,DetectorConfig(fused_anomaly=Parameters(odds_ratio=q)))) for q in RATIOS}
    al={q:[] for q in RATIOS}
    def take():
        for q,d in ds.items():
            al[q]+=[messages.decode(Alert,r.value) for r in d.task.take() if r.topic==topics.ALERTS]
    for k,chunk in enumerate(market.chunks()):
        for d in ds.values():
            d.heartbeat(chunk.end_ns//NANOS-1)
            for rows in sorted(chunk.rows,key=lambda e:e.type):
                if len(rows): d.send(rows)
        if k%100==0: take()
    take()
    labels=market.labels(); days+=n*2100/86400
    for q in RATIOS:
        for a in al[q]:
            if a.revision or a.scenario not in('fused_anomaly','kmeans_anomaly'): continue
            hit=[l for l in labels if l.instrument==a.instrument and l.start_ns<=from_rfc3339(a.decided) and from_rfc3339(a.onset)<=l.end_ns+60*NANOS]
            total[q][a.scenario,'true' if any(l.labelled for l in hit) else 'false']+=1
    print(seed,rate,round(days,1),{q:{f"{s[:5]}/{k}":v for (s,k),v in sorted(total[q].items())} for q in RATIOS},flush=True)
