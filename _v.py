exec(open('_m.py').read().split("def feed")[0])
import msgspec
from detectors import fusion
def feed(force):
    task=Task("market.bench",0,FixedRegistry(shape.reference_data()),force,build_hash())
    task.silent=True
    t=time.process_time_ns()
    for off,(v,h) in enumerate(log.records):
        task.feed(off,v,h,2**62)
        if off%1000==999: task.take()
    task.take()
    return (time.process_time_ns()-t)/log.rows
sh=ModelShelf(); base=InForce.default(sh).models
never=sh.put(msgspec.structs.replace(fusion.shipped(),alert=1e9).encoded())
noae={k:v for k,v in base.items() if k!='autoencoder'}
V={'off':lambda:InForce(sh,base,DetectorConfig(peers=False)),'on':lambda:InForce(sh,base,DetectorConfig()),
 'no forest':lambda:InForce(sh,{**base,'fusion':never},DetectorConfig()),
 'no ae no forest':lambda:InForce(sh,{**noae,'fusion':never},DetectorConfig())}
res={}
for k in range(5):
    for n,f in V.items(): res.setdefault(n,[]).append(feed(f()))
print({n:(round(min(v)),round(sorted(v)[2])) for n,v in res.items()})
