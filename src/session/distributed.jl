# Workers of Distributed.

"""
Load NativeCache on the workers that have come since it was loaded here. libnativecache calls this when a
package is loaded and there are such workers: they then link what the master links, and note what they compile.
"""
function spread()
    id = PkgId(UUID("8ba89e20-285c-5b6f-9357-94700520ee1b"), "Distributed")
    distributed = Base.loaded_modules[id]
    distributed.myid() == 1 || return nothing       # the master sees to it
    here = Base.root_module_key(@__MODULE__)
    for worker in distributed.workers()
        try
            distributed.remotecall_wait(Base.require, worker, here)
        catch
            # One without NativeCache compiles for itself.
        end
    end
    return nothing
end
