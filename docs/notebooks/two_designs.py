# %% [markdown]
# # Two designs, and why one is faster
#
# The same network and images on a dense systolic array and on an array that skips zeros.

# %%
import stasim

machines = {"dense": "dense_pe", "sparse": "sparse_pe"}
results = {name: stasim.simulate("mnist", each, images=4) for name, each in machines.items()}
comparison = stasim.compare(results)
comparison.table.set_index("design")[["latency (ms)", "energy (µJ)", "utilization"]]

# %% [markdown]
# ## Where the time goes
#
# Layer by layer: where does the dense array lose most?

# %%
cycles = {
    name: each.tables["layers"].groupby("layer", sort=False).pe_busy_cycles.mean()
    for name, each in results.items()
}
gap = (cycles["dense"] - cycles["sparse"]).sort_values(ascending=False)
gap.head()

# %% [markdown]
# ## Why
#
# An array that skips zeros takes as long as there are ones. So the ratio of the cycles should follow the firing
# rate of what a layer reads: `input_rate`, the share of its operand that is not zero.

# %%
layers = results["sparse"].tables["layers"]
why = layers.groupby("layer", sort=False)[["input_rate"]].mean()
why["dense / sparse"] = cycles["dense"] / cycles["sparse"]
why.loc[gap.index].head(8)

# %% [markdown]
# The rest is not the array's: what it waits for, in cycles of an image.

# %%
stalls = {
    name: each.tables["stalls"].groupby("cause").stall_cycles.mean()
    for name, each in results.items()
}
stalls["sparse"].sort_values(ascending=False).head()

# %%
stasim.plots.pareto(comparison)

# %% [markdown]
# `comparison.save("compare.html")` writes one offline page with every figure, its table and its definition.
