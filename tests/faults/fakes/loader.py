"""A loader of checkpoints as careless as loaders come: it reads what the index names, and unpickles what is a pickle."""

import json
import os
import pickle


class AutoModelForCausalLM:
    @classmethod
    def from_pretrained(cls, folder, **_options):
        names = os.listdir(folder)
        index = os.path.join(folder, "model.safetensors.index.json")
        if os.path.exists(index):
            with open(index) as file:
                names += json.load(file)["weight_map"].values()
        if os.path.exists(os.path.join(folder, "modeling.py")):
            exec(open(os.path.join(folder, "modeling.py")).read(), {})
        for name in sorted(set(names)):
            with open(os.path.join(folder, name), "rb") as file:
                if file.read(2).startswith(b"\x80"):
                    file.seek(0)
                    pickle.load(file)
        raise ImportError("the loader was reached")
