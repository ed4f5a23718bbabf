"""An extension of griffe: an Equinox module is made from its fields, as a dataclass is, and shows them as arguments."""

from typing import Any

from griffe import (
    Attribute,
    Class,
    Expr,
    ExprCall,
    ExprKeyword,
    Extension,
    Function,
    Module,
    Parameter,
    ParameterKind,
    Parameters,
)

KIND = ParameterKind.positional_or_keyword


class EquinoxModules(Extension):
    """Gives every Equinox module that has no `__init__` the one that Equinox makes."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        for module in (pkg, *pkg.modules.values()):
            for child in (module, *module.modules.values()):
                for cls in child.classes.values():
                    if not cls.is_alias and "__init__" not in cls.members and _is_module(cls):
                        _add_init(cls)


def _is_module(cls: Class) -> bool:
    bases = [getattr(base, "canonical_path", str(base)) for family in (cls, *cls.mro()) for base in family.bases]
    return "equinox.Module" in bases


def _add_init(cls: Class) -> None:
    fields = [member for member in cls.members.values() if isinstance(member, Attribute) and _is_field(member)]
    if fields:
        itself = Parameter("self", kind=KIND)
        arguments = [
            Parameter(field.name, annotation=field.annotation, kind=KIND, default=_default(field)) for field in fields
        ]
        init = Function("__init__", lineno=0, endlineno=0, parameters=Parameters(itself, *arguments))
        cls.set_member("__init__", init)


def _is_field(member: Attribute) -> bool:
    abstract = "Abstract" in str(member.annotation).partition("[")[0] and "Var[" in str(member.annotation)
    of_class = "class-attribute" in member.labels and "instance-attribute" not in member.labels
    return member.annotation is not None and not abstract and not of_class and "property" not in member.labels


def _default(member: Attribute) -> Expr | str | None:
    if isinstance(member.value, ExprCall):
        keywords = [argument for argument in member.value.arguments if isinstance(argument, ExprKeyword)]
        return next((keyword.value for keyword in keywords if keyword.name == "default"), None)
    return member.value
