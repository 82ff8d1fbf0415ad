def nearest_other_names(kb, top, *, keys=None, progress=False):
    raise NotImplementedError
