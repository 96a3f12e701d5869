import time, sys, numpy as np
from benchmarks.profile import _log
from benchmarks.quotes import Shape
from streams.engine.models import InForce, ModelShelf
from streams.engine.rules import DetectorConfig
from streams.engine.task import Task
from streams.engine.build import build_hash
from tapewatch.registry import FixedRegistry
shape=Shape.of(2000, 1_200_000, 4)
log=_log(shape)
def feed(config, silent=True):
    force=InForce(ModelShelf(), InForce.default(ModelShelf()).models, config)
    task=Task("market.bench",0,FixedRegistry(shape.reference_data()),force,build_hash())
    task.silent=silent
    out=[]
    t=time.process_time_ns()
    for off,(v,h) in enumerate(log.records):
        task.feed(off,v,h,2**62)
        if off%1000==999: out+=task.take()
    out+=task.take()
    return (time.process_time_ns()-t)/log.rows, out, task
res={}
for k in range(4):
    for name,c in (('off',DetectorConfig(peers=False)),('on',DetectorConfig()),('features',DetectorConfig(watch=False))):
        ns,_,task=feed(c); res.setdefault(name,[]).append(ns)
print({n:[round(min(v)),[round(x) for x in v]] for n,v in res.items()}, log.rows)
from streams.driver import table
ns,out,task=feed(DetectorConfig(),False)
t=table(out,'scores')
from streams.engine.judging import DETECTORS
u,c=np.unique(t['detector'],return_counts=True)
print({DETECTORS[a]:int(b) for a,b in zip(u,c)})
print([r.topic for r in out if 'alert' in r.topic][:3], sum('alerts' in r.topic for r in out))
