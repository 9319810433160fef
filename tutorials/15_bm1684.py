# %% [markdown]
# # 15. From a trained model to a file for a chip
#
# The BM1684 is a chip for inference: 64 lanes of 512 KiB of memory, a tensor unit and a data mover, and
# nothing that would hide when data arrive. Its programs are `.bmodel` files, which hold every command of
# both engines. We train a classifier of handwritten digits, compile it into such a file, run the commands
# in GraphFlow's simulator of the chip, and compare all predictions on 360 held-out images.
#
# **Nothing here has run on silicon.** The simulator was compared, command by command, with the functional
# simulator of the chip's vendor, whose own runtime loads these files too; times come from formulas.

# %%
import tempfile
from pathlib import Path

import numpy as np

import graphflow as gf

folder = Path(tempfile.mkdtemp())
digits = gf.data.digits()

# %% [markdown]
# ## Training
#
# As anywhere else: on the CPU, in a session. Batch norm and dropout are in it; neither is left in what runs
# on the chip.

# %%
image = gf.placeholder("image", ("batch", 1, 8, 8))
label = gf.placeholder("label", ("batch",), dtype=gf.int32)
hidden = image
for filters in (16, 32):
    hidden = gf.nn.relu(gf.layers.batch_norm(gf.layers.conv(hidden, filters, 3, use_bias=False)))
hidden = gf.layers.dropout(gf.flatten(gf.nn.max_pool(hidden, 2)), 0.25)
logits = gf.layers.dense(gf.layers.dense(hidden, 64, activation=gf.nn.relu), 10)
probabilities = gf.nn.softmax(logits)
loss = gf.nn.cross_entropy(logits, label)
train = gf.train.Adam(3e-3).minimize(loss)

sess = gf.Session(seed=0)
batches = gf.data.Batches([digits.train_images, digits.train_labels], size=64, drop_last=True)
for _ in range(6):
    for images, labels in batches:
        sess.run(train, {image: images, label: labels})

model = gf.Model(inputs=[image], outputs={"probabilities": probabilities}, session=sess)
wanted = model.run({"image": digits.test_images}, backend="numpy")["probabilities"]
print(f"held-out accuracy {np.mean(wanted.argmax(1) == digits.test_labels):.2%}")
assert np.mean(wanted.argmax(1) == digits.test_labels) > 0.93

# %% [markdown]
# ## What will become of it
#
# The pre-flight report has a line for every node of the optimised graph: the layer it becomes, the group of
# layers that stays in local memory with it, and what that costs. A node that the chip cannot run is named
# with the reason and a way out. The sizes of a file are fixed, so we say what the batch is.

# %%
report = gf.preflight(model, sizes={"batch": 1})
print(report)
assert report.supported

# %% [markdown]
# ## Compiling
#
# A list of sizes makes a stage of each; they share the weights. The time on the chip is computed from the
# cycles of every command, with both engines at work.

# %%
compiled = gf.compile(model, sizes=[{"batch": 1}, {"batch": 60}])
compiled.save(folder / "digits.bmodel")
print(compiled)
print(compiled.memory)
for stage, batch in enumerate((1, 60)):
    print(f"batch {batch}: {1e6 * compiled.timeline(stage).seconds / batch:.1f} us an image")

# %% [markdown]
# ## Running the file
#
# `simulate` decodes the words of the file and does what they say: it fails where a command reads what
# nothing has written, or where one engine does not wait for the other. `graphflow simulate` does the same
# from the command line, and `gf.Session(backend="bm1684")` compiles and simulates what it is asked for.

# %%
made = [
    compiled.simulate({"image": digits.test_images[start : start + 60]})["probabilities"]
    for start in range(0, 360, 60)
]
probabilities_of_chip = np.concatenate(made)
difference = np.abs(probabilities_of_chip - wanted).max()
print(f"the largest difference of a probability: {difference:.1e}")
same = np.sum(probabilities_of_chip.argmax(1) == wanted.argmax(1))
print(f"equal predictions: {same} of 360")
assert same == 360 and difference < 1e-5

# %%
with gf.Session(backend="bm1684") as chip:
    answer = chip.run(gf.nn.softmax(gf.constant(np.array([[1.0, 2.0, 4.0]], np.float32))))
print(answer)

# %% [markdown]
# ## Looking into it
#
# The timeline shows which engine waits for which. The first commands load the weights; the tensor unit has
# little to do for one small image.

# %%
from graphflow.runtime.bm1684.cycles import draw_local_memory, draw_timeline

timeline = compiled.cycles
print(timeline)
print(timeline.by_layer())
draw_timeline(timeline, folder / "timeline.svg")
draw_local_memory(timeline, folder / "memory.svg")

# %% [markdown]
# ## On a board
#
# The file is what the vendor's runtime takes. On a board or card with a BM1684 and `libsophon` installed,
#
#     bmrt_test --bmodel digits.bmodel
#
# loads it, runs every stage and prints the times. With `bmrt_test --context_dir FOLDER` it compares outputs
# with references: the folder holds `compilation.bmodel`, and the inputs and outputs as float32, one after the
# other, in `input_ref_data.dat` and `output_ref_data.dat`. We write such a folder for one image.

# %%
case = folder / "digits"
case.mkdir()
one = gf.compile(model, sizes={"batch": 1})
one.save(case / "compilation.bmodel")
(case / "input_ref_data.dat").write_bytes(digits.test_images[:1].tobytes())
output = one.simulate({"image": digits.test_images[:1]})["probabilities"]
(case / "output_ref_data.dat").write_bytes(output.tobytes())
print(*[f"{path.name}: {path.stat().st_size:,} bytes" for path in sorted(case.iterdir())], sep="\n")
