import numpy as np, sys
exec(open('_m.py').read().split("res={}")[0])
from streams.driver import table
from detectors import fusion, peers
from detectors.kmeans.sample import build
from detectors.autoencoder import batch
from detectors.autoencoder.model import shipped
from detectors.isolation.model import shipped as iso
from detectors.isolation.training import score_rows
from detectors.calibration import probabilities
from streams.engine.features import NAMES
ns,out,task=feed(DetectorConfig(peers=False),False)
f=table(out,'features'); s=table(out,'scores')
vals=np.stack([f[n] for n in NAMES],1)
rows=build(f['instrument'],f['ts']//10**9,NAMES,vals)
ae=shipped('stock'); err=batch.score_rows(ae.network(NAMES),rows)
ca=probabilities(err,ae.described.knots)
m=s['detector']==0
# kmeans chance aligned by (instrument, ts)
key=dict(zip(zip(s['instrument'][m],s['ts'][m]//10**9),s['probability'][m]))
owner=np.repeat(np.unique(f['instrument']),np.diff(rows.starts))
ck=np.array([key[(a,b)] for a,b in zip(owner,rows.steps)],dtype=float)
m=fusion.shipped(); fl=m.alert+np.log(.5)
top=np.full(len(ck),1-1e-5)
c=np.stack([ck,ca,top],1)
F=fusion.fused(c,m)
print('candidates', (F>=fl).mean(), 'nan k',np.isnan(ck).mean(),'nan a',np.isnan(ca).mean(), np.nanquantile(F,[.01,.5,.9,.99]),fl)
lk,la=fusion.log_odds(ck),fusion.log_odds(ca)
print(np.nanquantile(lk,[.1,.5,.9,.99]),np.nanquantile(la,[.1,.5,.9,.99]))
I=iso(); print('iso max knot', max(p for _,p in I.knots), 'ae max', ae.described.knots[-1])
