# %% [markdown]
# # 16. A tour of the board
#
# A training run leaves curves, histograms, a graph, the optimizer's journal, a memory plan and a profile.
# Here we log all of them, open the board on the folder, and ask it what a page would show. The pictures
# below are made by `docs/draw_board.py`, which logs three longer runs of such a net.

# %%
import importlib.util
import json
import tempfile
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import graphflow as gf

# %% [markdown]
# ## Something to look at
#
# `gf.train.watch` adds the gradients of a loss to what is fetched, every so many steps; names of nodes are
# what joins all pages later on.

# %%
digits = gf.data.digits()
image = gf.placeholder("image", ("batch", 1, 8, 8))
label = gf.placeholder("label", ("batch",), dtype=gf.int32)
with gf.name_scope("features"):
    hidden = gf.layers.conv(image, filters=8, kernel_size=3, activation=gf.nn.relu)
with gf.name_scope("classifier"):
    logits = gf.layers.dense(gf.flatten(gf.nn.max_pool(hidden, 2)), 10)
loss = gf.nn.cross_entropy(logits, label)
accuracy = gf.nn.metrics.accuracy(logits, label)
train = gf.train.Adam(3e-3).minimize(loss)
watch = gf.train.watch(loss, every=10)

logs = Path(tempfile.mkdtemp())
sess = gf.Session(backend="numpy", seed=0)
batches = gf.data.Batches([digits.train_images, digits.train_labels], size=32, drop_last=True, seed=0)
with gf.train.SummaryWriter(logs / "adam") as writer:
    for step, (images, labels) in enumerate(batches):
        feeds = {image: images, label: labels}
        _, now, right, seen = sess.run([train, loss, accuracy, watch.fetches(step)], feeds)
        writer.scalar("loss/train", now, step)
        writer.scalar("accuracy/train", right, step)
        watch.write(writer, seen, step)
    writer.graph(sess.graph)
    writer.explain(sess.explain([train, loss]))
    writer.memory(sess.memory([train, loss], sizes={"batch": 32}))
    writer.profile(sess.profile([train, loss], feeds))
print(sorted(path.name for path in (logs / "adam").rglob("*") if path.is_file()))

# %% [markdown]
# ## Opening it
#
# In a terminal:
#
# ```sh
# pip install 'graphflow-compiler[viewer]'
# graphflow board LOGDIR
# ```
#
# It prints an address with a token, and opens it. It listens on this machine only; whoever does not have the
# token sees nothing. From Python the same board runs beside your code, which is how we look at it here.

# %%
if importlib.util.find_spec("starlette") and importlib.util.find_spec("uvicorn"):
    from graphflow.board.server import running
    from graphflow.board.store import LogDirectory

    with LogDirectory(logs, index=None) as log, running(log) as board:
        log.wait(30)
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        page = browser.open(board.address)
        print("policy:", page.headers["Content-Security-Policy"].split(";")[0])
        home = board.address.split("/?")[0]
        info = json.load(browser.open(f"{home}/api/info"))
        print("the board knows:", ", ".join(sorted(info))[:60])
        for run in log.runs():
            print(f"run {run.name}: {run.tags} tags, {run.points} points")
        curve = log.scalars("adam", "loss/train")
        print(f"loss from {curve.value[0]:.2f} to {curve.value[-1]:.2f} in {len(curve.step)} steps")
else:
    print("the board needs starlette and uvicorn: pip install 'graphflow-compiler[viewer]'")

# %% [markdown]
# ## The pages
#
# * **Scalars** lay runs over one another; type a regular expression to choose tags.
#
#   ![curves](../docs/images/board-scalars.png)
#
# * **Graph** opens scope by scope. Choose a node: its line in your program, its curves, time, memory and
#   gradients stand beside it. *Optimizer* has a slider through the passes: what each folded and removed.
#
#   ![the graph](../docs/images/board-graph.png)
#   ![the optimizer's journal](../docs/images/board-optimizer.png)
#
# * **Memory** shows addresses over time, the instant of the peak, and what would make it smaller.
#
#   ![memory](../docs/images/board-memory.png)
#
# * **Chip** shows both engines of the BM1684 if a compiled `.bmodel` lies in the run's folder.
#
# `?` lists the keys. The address holds what you look at, so that a link shows the same to somebody else.
