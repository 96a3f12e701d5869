"""False alerts of fused_anomaly and kmeans_anomaly on synthetic seeds that nothing was set on."""
import sys, time, numpy as np
from benchmarks.training_data import START_NS, WARMUP_S, market_config
from producers.synthetic import SyntheticMarket
from streams.driver import Driver, run_source
from streams.engine.models import InForce, ModelShelf
from streams.engine.rules import DetectorConfig
from tapewatch import messages, topics
from tapewatch.clock import NANOS
from tapewatch.messages import Alert, from_rfc3339
from tapewatch.registry import FixedRegistry
seed,rate,n=int(sys.argv[1]),float(sys.argv[2]),int(sys.argv[3])
from benchmarks.training_data import label_rows
t=time.time()
market=SyntheticMarket(market_config(n,2400,rate=rate),seed,START_NS)
driver=None; alerts=[]
for k,(driver,_) in enumerate(run_source(market)):
    if k%100==0:
        alerts+=[messages.decode(Alert,r.value) for r in driver.task.take() if r.topic==topics.ALERTS]
alerts+=[messages.decode(Alert,r.value) for r in driver.task.take() if r.topic==topics.ALERTS]
labels=market.labels()
true=[l for l in labels if getattr(l,'manipulation',True)]
from collections import Counter
c=Counter()
import detectors
for a in alerts:
    if a.revision: continue
    hit=[l for l in labels if l.instrument==a.instrument and l.start_ns<=from_rfc3339(a.decided) and from_rfc3339(a.onset)<=l.end_ns+60*NANOS]
    kind='true' if any(l.labelled for l in hit) else ('like' if hit else 'none')
    c[a.scenario,kind]+=1
days=n*(2400-300)/86400
print(seed,rate,n,'days',round(days,2),{f"{s}/{k}":v for (s,k),v in sorted(c.items()) if s in('fused_anomaly','kmeans_anomaly')}, 'all',sum(c.values()), round(time.time()-t), flush=True)
