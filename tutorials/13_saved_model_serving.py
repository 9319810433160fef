# %% [markdown]
# # 13. Serving predictions from a saved model
#
# A model that has been trained in one process is to answer questions in another. We train a small
# classifier with checkpoints, save two functions of it in one file, and serve them over HTTP with
# nothing but Python's standard library. The server needs the file and GraphFlow; it does not need the
# code that built the graph.

# %%
import json
import tempfile
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

import graphflow as gf

folder = Path(tempfile.mkdtemp())
digits = gf.data.digits()

# %% [markdown]
# ## Training, with checkpoints
#
# The pixels are divided by 16 inside of the graph, so whoever asks later can send them as they are. A
# `CheckpointManager` saves the session beside the training: it takes a copy of the variables, and a
# thread writes it. Here the two newest and the one best checkpoint are kept.

# %%
image = gf.placeholder("image", ("batch", 64))
label = gf.placeholder("label", ("batch",), dtype=gf.int32)
hidden = gf.layers.dense(image / 16.0, 32, activation=gf.nn.relu)
logits = gf.layers.dense(gf.layers.dropout(hidden, 0.2), 10)
loss = gf.nn.cross_entropy(logits, label)
accuracy = gf.nn.metrics.accuracy(logits, label)
train = gf.train.Adam(3e-3).minimize(loss)

pixels = digits.train_images.reshape(-1, 64) * 16
held_out = digits.test_images.reshape(-1, 64) * 16
batches = gf.data.Batches([pixels, digits.train_labels], size=64, drop_last=True)

sess = gf.Session(seed=0)
with gf.train.CheckpointManager(
    folder / "checkpoints", sess, batches, keep_last=2, keep_best=1, metric="accuracy", mode="max"
) as checkpoints:
    for _ in range(8):
        for images, labels in batches:
            sess.run(train, {image: images, label: labels})
        checkpoints.save({"accuracy": sess.run(accuracy, {image: held_out, label: digits.test_labels})})
    print("steps with a checkpoint:", checkpoints.steps, "of which the best is", checkpoints.best)
    best = checkpoints.restore("best")
print(f"{best}; held-out accuracy {best.metrics['accuracy']:.2%}")
assert best.metrics["accuracy"] > 0.9

# %% [markdown]
# ## Saving two functions in one file
#
# Each signature names its inputs and outputs. A model has only what its outputs need: neither the loss
# nor Adam's memory. The ending `.gfm` makes it one file rather than a folder.

# %%
chances = gf.nn.softmax(logits)
path = gf.saved_model.save(
    folder / "digits.gfm",
    sess,
    signatures={
        "classify": ([image], {"digit": gf.argmax(chances, axis=-1), "chance": gf.max(chances, axis=-1)}),
        "embed": ([image], {"features": hidden}),
    },
)
print(gf.saved_model.load(path))

# %% [markdown]
# ## A server
#
# The server loads a function by the name of its signature. Large weights would be mapped rather than
# read, so that it starts at once, and several servers on one machine share their memory. What is wrong with
# a request is found by the feeds' own checks, and the answer says it in words. `ThreadingHTTPServer` listens
# to this machine alone here; what is open to the world needs a web server in front of it.

# %%
classify = gf.saved_model.load(path, signature="classify")


class Predictions(BaseHTTPRequestHandler):
    """Answers POST requests with {"image": [[64 numbers], ...]}."""

    def do_POST(self) -> None:
        """One prediction for each row of the request."""
        length = int(self.headers.get("Content-Length", 0))
        try:
            feeds = {
                name: np.asarray(rows, np.float32)
                for name, rows in json.loads(self.rfile.read(min(length, 1 << 20))).items()
            }
            answer = {name: array.tolist() for name, array in classify.run(feeds).items()}
            self.reply(200, answer)
        except gf.FeedError as error:
            self.reply(400, {"error": error.message, "try": error.hint})
        except (ValueError, TypeError, AttributeError) as error:
            self.reply(400, {"error": f"the request is no JSON object of arrays: {error}"})

    def reply(self, code: int, content: dict) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Predictions)
threading.Thread(target=server.serve_forever, daemon=True).start()

# %% [markdown]
# ## Asking it

# %%
address = f"http://127.0.0.1:{server.server_port}/"


def ask(question: dict) -> dict:
    """The server's answer."""
    request = urllib.request.Request(address, json.dumps(question).encode())
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return json.load(error)


answer = ask({"image": held_out[:5].tolist()})
print("answered:", answer["digit"], "chances", np.round(answer["chance"], 3).tolist())
print("right:   ", digits.test_labels[:5].tolist())
print(ask({"image": [[0.0] * 63]}))
print(ask({"picture": [[0.0] * 64]}))

# %% [markdown]
# The server gives what the session gives, as it runs the same graph with the same weights.

# %%
expected = sess.run(gf.argmax(chances, axis=-1), {image: held_out})
served = ask({"image": held_out.tolist()})["digit"]
assert served == expected.tolist()
print(f"{len(served)} answers agree with the session")
server.shutdown()
server.server_close()

# %% [markdown]
# The same from the command line:
#
# ```
# graphflow show digits.gfm
# graphflow run digits.gfm --feed image=digits.npy -o answers.npz
# ```
#
# Docs: [saved models](../docs/saved-models.md), [checkpoints](../docs/checkpoints.md).
