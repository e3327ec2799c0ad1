"""The JSON body sent to a scoring server: values, forms, coercion, and bodies that must be refused."""
