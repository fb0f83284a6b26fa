# Workers of Distributed.

"""
Load NativeCache on workers that were added since it was loaded here. libnativecache calls this when a package
is loaded and there are such workers. They then link what the master links, and record what they compile.
"""
function spread()
    id = PkgId(UUID("8ba89e20-285c-5b6f-9357-94700520ee1b"), "Distributed")
    distributed = Base.loaded_modules[id]
    distributed.myid() == 1 || return nothing       # the master does this
    here = Base.root_module_key(@__MODULE__)
    for worker in distributed.workers()
        try
            distributed.remotecall_wait(Base.require, worker, here)
        catch
            # A worker that cannot load NativeCache works without the cache.
        end
    end
    return nothing
end
