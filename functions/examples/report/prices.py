def show(amount, currency):
    return f"{amount:.2f} {currency}"
