"""A look at flip-flops and memories that a component has no port for: invariants are about them."""

from typing import Any

__all__ = ["Inside"]


class Inside:
    """A component, elaborated here, that can then be instantiated as it is.

    Parameters
    ----------
    component : Elaboratable
        It is elaborated once, and gives the same module to whoever elaborates it again. One behind ``ResetInserter`` or
        ``EnableInserter`` is taken out of it: what they add comes later all the same.

    Attributes
    ----------
    module : Module
        What it consists of.
    """

    def __init__(self, component: Any) -> None:
        component = getattr(component, "_elaboratable_", component)
        self._component = component
        self.module: Any = component.elaborate(None)
        component.elaborate = lambda platform: self.module

    def signal(self, name: str) -> Any:
        """Return the signal of that name that the component drives; if a port has the same name, not the port.

        Raises
        ------
        KeyError
            If there is none, or more than one.
        """
        port = getattr(self._component, name, None)
        named = [signal for signal in self.module._driving if signal.name == name]
        found = [signal for signal in named if signal is not port] or named
        if len(found) != 1:
            raise KeyError(f"The name must be that of one signal of the component, not {name!r}")
        return found[0]

    def within(self, name: str) -> "Inside":
        """Return a look at a submodule."""
        return Inside(getattr(self.module.submodules, name))

    def component(self, name: str) -> Any:
        """Return a submodule, without what is around it to give it another domain or reset."""
        component = getattr(self.module.submodules, name)
        return getattr(component, "_elaboratable_", component)

    def word(self, m: Any, memory: str, address: Any) -> Any:
        """Return what a memory among the submodules holds at an address."""
        port: Any = getattr(self.module.submodules, memory).read_port(domain="comb")
        m.d.comb += port.addr.eq(address)
        return port.data
